-- +goose Up
create table audiences (
    name         text   collate "C" not null primary key, -- ordered by bytes, whatever the database's locale
    uid          text   collate "C" not null unique,
    display_name text   not null,
    description  text   not null,
    owner        text   not null,
    version      bigint not null,
    etag         text   not null,
    create_time  bigint not null,              -- microseconds since 1970-01-01 UTC
    update_time  bigint not null
);

create table audience_versions (
    audience_uid text   collate "C" not null references audiences (uid) on delete cascade,
    version      bigint not null,
    spec         text   not null,              -- JSON, see campaign.EncodeSpec
    create_time  bigint not null,
    primary key (audience_uid, version)
);

create table campaigns (
    name              text   collate "C" not null primary key,
    uid               text   collate "C" not null unique,
    display_name      text   not null,
    objective         text   not null,
    value_proposition text   not null,
    audience          text   collate "C" not null references audiences (name),
    channel           text   not null,
    budget_currency   text,
    budget_cents      bigint,
    start_day         bigint,                  -- days since 1970-01-01
    end_day           bigint,
    state             text   not null,
    etag              text   not null,
    create_time       bigint not null,
    update_time       bigint not null
);

create index campaigns_by_audience on campaigns (audience, name);
