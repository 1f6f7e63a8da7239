-- +goose Up

-- What people did, each person's events together. The id is the first half of the SHA-256 of the event's own id, which the caller chose;
-- origin is the profile for which it was recorded, where it has moved since. Times are microseconds since 1970.
create table events (
    id          blob    not null,
    uid         blob    not null,
    time        integer not null,
    create_time integer not null,
    origin      blob,
    event_id    blob    not null,
    body        blob    not null,
    primary key (uid, time, id)
) without rowid;
create unique index events_id on events (id);

-- Of each profile that ever had an event, the first day (since 1970-01-01) on which its traits may differ from those stored, if no event
-- comes or goes. Every commit that adds or removes any of its events, or computes it anew, counts version up.
create table due (
    uid     blob    primary key,
    day     integer not null,
    version integer not null
) without rowid;
create index due_day on due (day);

-- With what the traits were computed.
create table settings (
    id        integer primary key check (id = 1),
    behaviour text    not null
);
