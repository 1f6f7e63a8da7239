-- +goose Up

-- Names and identifiers, sealed; contact_key is the key that they are sealed with, 0 where there are none. Earlier programs kept them in
-- the body, and an external id in a table of its own, in clear: what they left is converted before the store serves.
alter table profiles add column contact blob;
alter table profiles add column contact_key integer not null default 0;
-- Where values came from; null: not known.
alter table profiles add column provenance blob;
create index profiles_contact_key on profiles (contact_key) where contact_key <> 0;

alter table requests add column contact blob;
alter table requests add column contact_key integer not null default 0;

-- Keyed hashes of identifiers, under the index key key_id. Kinds are numbered from 1, which is an external id: held once.
create table identifiers (
    key_id integer not null,
    hash   blob    not null,
    uid    blob    not null,
    kind   integer not null,
    primary key (key_id, hash, uid)
) without rowid;
create unique index identifiers_external on identifiers (key_id, hash) where kind = 1;

drop table external_ids;

-- What is still to be converted, and how far that has come: the uid of the last profile.
create table conversions (
    name  text primary key,
    after blob not null
) without rowid;
insert into conversions (name, after)
    select 'contact', zeroblob(16) where exists (select 1 from profiles) or exists (select 1 from requests);
