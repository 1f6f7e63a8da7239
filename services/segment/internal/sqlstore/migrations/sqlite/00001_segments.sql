-- +goose Up

-- One row: the life of the store and the revision of its newest commit.
create table head (
  one         integer primary key check (one = 1),
  incarnation text    not null,
  revision    integer not null
);

-- The random mark of each group commit, beside the last revision of the group.
create table marks (
  revision integer primary key,
  mark     blob    not null
);

create table segments (
  number              integer primary key autoincrement,
  uid                 text    not null unique,
  id                  text    not null unique,
  display_name        text    not null,
  description         text    not null,
  rule                text    not null,
  is_static           integer not null,
  members             integer not null,
  owner               text    not null,
  version             integer not null,
  definition_revision integer not null,
  revision            integer not null,
  etag                text    not null,
  create_time         integer not null, -- microseconds since 1970, UTC
  update_time         integer not null
);

-- Which segment's rule names which. A named segment cannot go.
create table segment_references (
  segment integer not null references segments (number) on delete cascade,
  ref     integer not null references segments (number) on delete restrict,
  primary key (segment, ref)
) without rowid;
create index segment_references_by_ref on segment_references (ref);

-- The profiles on static lists.
create table members (
  segment integer not null,
  profile blob    not null,
  primary key (segment, profile)
) without rowid;

-- Who may assign ordinals and write blocks. One range today; the column leaves room for an index that is divided.
create table leases (
  range_id integer primary key default 0,
  number   integer not null, -- only grows
  random   integer not null,
  holder   text    not null, -- empty: released
  expires  integer not null  -- microseconds since 1970, UTC
);

create table layouts (
  number      integer primary key autoincrement,
  store       text    not null,
  incarnation text    not null
);

-- Packed uids of consecutive ordinals; a blank ordinal is sixteen zero bytes.
create table ordinals (
  layout integer not null references layouts (number) on delete cascade,
  block  integer not null,
  first  integer not null,
  uids   blob    not null,
  primary key (layout, block, first)
) without rowid;
