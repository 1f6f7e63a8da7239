-- +goose Up
create table personas (
    name           text    not null primary key, -- ordered by bytes, as every text column without a collation
    uid            text    not null unique,
    display_name   text    not null,
    kind           text    not null,
    headline       text    not null,
    narrative      text    not null,
    goals          text    not null,             -- JSON list
    frustrations   text    not null,             -- JSON list
    source_segment text    not null,
    rule           text    not null,
    segment        text    not null,
    evidence       text,                         -- JSON, see persona.Evidence; null: made by hand
    etag           text    not null,
    create_time    integer not null,             -- microseconds since 1970-01-01 UTC
    update_time    integer not null
) without rowid;
