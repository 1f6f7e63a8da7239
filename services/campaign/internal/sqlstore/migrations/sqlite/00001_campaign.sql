-- +goose Up
create table audiences (
    name         text    not null primary key, -- ordered by bytes, as every text column without a collation
    uid          text    not null unique,
    display_name text    not null,
    description  text    not null,
    owner        text    not null,
    version      integer not null,
    etag         text    not null,
    create_time  integer not null,             -- microseconds since 1970-01-01 UTC
    update_time  integer not null
) without rowid;

create table audience_versions (
    audience_uid text    not null references audiences (uid) on delete cascade,
    version      integer not null,
    spec         text    not null,             -- JSON, see campaign.EncodeSpec
    create_time  integer not null,
    primary key (audience_uid, version)
) without rowid;

create table campaigns (
    name              text    not null primary key,
    uid               text    not null unique,
    display_name      text    not null,
    objective         text    not null,
    value_proposition text    not null,
    audience          text    not null references audiences (name),
    channel           text    not null,
    budget_currency   text,
    budget_cents      integer,
    start_day         integer,                 -- days since 1970-01-01
    end_day           integer,
    state             text    not null,
    etag              text    not null,
    create_time       integer not null,
    update_time       integer not null
) without rowid;

create index campaigns_by_audience on campaigns (audience, name);
