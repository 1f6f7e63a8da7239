-- +goose Up

-- Profiles that were merged: into which one, and which one the person is now, where that was merged on. seq counts the merges into one
-- profile in their order. A row stays as long as its merge does.
create table redirects (
    uid      blob    primary key,
    survivor blob    not null,
    target   blob    not null,
    seq      integer not null
) without rowid;
create index redirects_target on redirects (target);

-- What is needed to take a merge back, until expire_time: both profiles as they were and what was made of them, sealed with record_key.
create table merges (
    uid         blob    primary key,
    expire_time integer not null,
    record      blob    not null,
    record_key  integer not null
);
create index merges_expire_time on merges (expire_time);
create index merges_record_key on merges (record_key);
