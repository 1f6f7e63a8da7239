-- +goose Up

-- Names and identifiers, sealed; contact_key is the key that they are sealed with, 0 where there are none.
alter table profiles add column contact bytea;
alter table profiles add column contact_key bigint not null default 0;
-- Where values came from; null: not known.
alter table profiles add column provenance bytea;
create index profiles_contact_key on profiles (contact_key) where contact_key <> 0;

alter table requests add column contact bytea;
alter table requests add column contact_key bigint not null default 0;

-- Keyed hashes of identifiers, under the index key key_id. Kinds are numbered from 1, which is an external id: held once.
create table identifiers (
    key_id bigint   not null,
    hash   bytea    not null,
    uid    uuid     not null,
    kind   smallint not null,
    primary key (key_id, hash, uid)
);
create unique index identifiers_external on identifiers (key_id, hash) where kind = 1;

-- What is still to be converted, and how far that has come. No program kept contact data in clear in this engine.
create table conversions (
    name  text collate "C" primary key,
    after uuid not null
);
