-- +goose Up

-- The one row that says what this store is and how far it has come. It is changed last in every commit.
create table store (
    id          integer primary key check (id = 1),
    store       text    not null,
    incarnation text    not null,
    revision    integer not null,
    mark        blob    not null
);

-- The marks of the newest commits, by which positions that were given out are known again. n counts commits.
create table marks (
    n        integer primary key autoincrement,
    revision integer not null unique,
    mark     blob    not null
);

-- Each profile's last state at the revision of its last change. Times are microseconds since 1970.
create table profiles (
    uid         blob    primary key,
    revision    integer not null,
    create_time integer not null,
    update_time integer not null,
    body        blob    not null
) without rowid;
create unique index profiles_revision on profiles (revision);

-- Deleted profiles, kept for watchers and because a uid is not given again.
create table tombstones (
    uid      blob    primary key,
    revision integer not null
) without rowid;
create unique index tombstones_revision on tombstones (revision);

create table external_ids (
    source text not null,
    value  text not null,
    uid    blob not null,
    primary key (source, value)
) without rowid;

create table attributes (
    id          text    primary key,
    type        integer not null,
    description text    not null,
    allowed     text    not null, -- a JSON list
    scale       integer not null,
    sensitive   integer not null,
    declared    integer not null,
    revision    integer not null,
    create_time integer not null,
    update_time integer not null
) without rowid;

-- Every change of a declaration. They are few and not compacted, so that a declaration comes before the profiles that use it.
create table attribute_changes (
    revision integer primary key,
    id       text    not null references attributes (id)
);

create table imports (
    id          text    primary key,
    through     integer not null,
    created     integer not null,
    updated     integer not null,
    unchanged   integer not null,
    rejected    integer not null,
    update_time integer not null
) without rowid;

-- First answers of creates that had a request id.
create table requests (
    request_id  text    primary key,
    uid         blob    not null,
    revision    integer not null,
    create_time integer not null,
    body        blob    not null
) without rowid;
create index requests_create_time on requests (create_time);
