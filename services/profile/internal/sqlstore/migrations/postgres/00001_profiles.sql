-- +goose Up

-- The one row that says what this store is and how far it has come. It is changed last in every commit.
create table store (
    id          integer primary key check (id = 1),
    store       text    not null,
    incarnation text    not null,
    revision    bigint  not null,
    mark        bytea   not null
) with (fillfactor = 10);

-- The marks of the newest commits, by which positions that were given out are known again. n counts commits, some numbers are missing.
create table marks (
    n        bigint primary key generated always as identity,
    revision bigint not null unique,
    mark     bytea  not null
);

-- Each profile's last state at the revision of its last change. Times are microseconds since 1970.
create table profiles (
    uid         uuid   primary key,
    revision    bigint not null,
    create_time bigint not null,
    update_time bigint not null,
    body        bytea  not null
);
create unique index profiles_revision on profiles (revision);

-- Deleted profiles, kept for watchers and because a uid is not given again.
create table tombstones (
    uid      uuid   primary key,
    revision bigint not null
);
create unique index tombstones_revision on tombstones (revision);

create table attributes (
    id          text collate "C" primary key,
    type        smallint not null,
    description text     not null,
    allowed     text     not null, -- a JSON list
    scale       smallint not null,
    sensitive   boolean  not null,
    declared    bigint   not null,
    revision    bigint   not null,
    create_time bigint   not null,
    update_time bigint   not null
);

-- Every change of a declaration. They are few and not compacted, so that a declaration comes before the profiles that use it.
create table attribute_changes (
    revision bigint primary key,
    id       text collate "C" not null references attributes (id)
);

create table imports (
    id          text collate "C" primary key,
    through     bigint not null,
    created     bigint not null,
    updated     bigint not null,
    unchanged   bigint not null,
    rejected    bigint not null,
    update_time bigint not null
);

-- First answers of creates that had a request id.
create table requests (
    request_id  text collate "C" primary key,
    uid         uuid   not null,
    revision    bigint not null,
    create_time bigint not null,
    body        bytea  not null
);
create index requests_create_time on requests (create_time);
