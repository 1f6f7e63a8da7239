-- +goose Up

-- What people did. The id is the first half of the SHA-256 of the event's own id, which the caller chose; origin is the profile for which it
-- was recorded, where it has moved since. Times are microseconds since 1970.
create table events (
    id          bytea  primary key,
    uid         uuid   not null,
    time        bigint not null,
    create_time bigint not null,
    origin      uuid,
    event_id    bytea  not null,
    body        bytea  not null
);
create index events_uid on events (uid, time, id);

-- Of each profile that ever had an event, the first day (since 1970-01-01) on which its traits may differ from those stored, if no event
-- comes or goes. Every commit that adds or removes any of its events, or computes it anew, counts version up.
create table due (
    uid     uuid   primary key,
    day     bigint not null,
    version bigint not null
);
create index due_day on due (day, uid);

-- With what the traits were computed.
create table settings (
    id        integer primary key check (id = 1),
    behaviour text    not null
);
