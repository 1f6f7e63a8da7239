-- +goose Up

-- Profiles that were merged: into which one, and which one the person is now, where that was merged on. seq counts the merges into one
-- profile in their order. A row stays as long as its merge does.
create table redirects (
    uid      uuid   primary key,
    survivor uuid   not null,
    target   uuid   not null,
    seq      bigint not null
);
create index redirects_target on redirects (target);

-- What is needed to take a merge back, until expire_time: both profiles as they were and what was made of them, sealed with record_key.
create table merges (
    uid         uuid   primary key,
    expire_time bigint not null,
    record      bytea  not null,
    record_key  bigint not null
);
create index merges_expire_time on merges (expire_time);
create index merges_record_key on merges (record_key);
