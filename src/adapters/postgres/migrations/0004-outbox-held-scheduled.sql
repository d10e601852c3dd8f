-- What stands beside the outbox: keys that are held, messages for later, and what a person discarded.

-- A key whose first message Kafka refused. Its messages stay in the outbox, in their order, and wait for a person;
-- a message without a key holds up nobody but itself.
--
-- A person's act is a request on this row; the relay's owner does it between two reads of the outbox, within a second,
-- and takes the row away. It names the message that the person saw: a key that was released meanwhile, and held again
-- by another message, is another row.
--   update trunkline.outbox_held_key set request = 'redrive', requested_at = trunkline.now() where id = $1 and head_id = $2
-- 'redrive': the key's messages are sent again in their order; refused again, the key is held again, in a new row.
-- 'discard': the first message moves to outbox_discarded, then the others are sent.
create table trunkline.outbox_held_key (
  id           bigint      generated always as identity primary key,
  topic        text        not null,
  key          bytea,
  head_seq     bigint      not null,
  head_id      uuid        not null unique,
  reason_code  text        not null,
  reason       text        not null,
  held_at      timestamptz not null default trunkline.now(),
  request      text        check (request in ('redrive', 'discard')),
  requested_at timestamptz,
  check ((request is null) = (requested_at is null))
);
-- By its hash: a row from elsewhere may have a key that is longer than an index takes.
create unique index outbox_held_key_once on trunkline.outbox_held_key (topic, sha256(key));

-- Messages that were taken out of the outbox by a person, whole.
create table trunkline.outbox_discarded (
  id           uuid        primary key,
  topic        text        not null,
  key          bytea,
  value        bytea,
  headers      bytea       not null,
  created_at   timestamptz not null,
  reason_code  text        not null,
  reason       text        not null,
  discarded_at timestamptz not null default trunkline.now()
);
create index outbox_discarded_by_age on trunkline.outbox_discarded using brin (discarded_at);

-- Messages that were published for later. When one is due, the relay's owner moves it into the outbox, where it gets
-- its place in the order of its key.
create table trunkline.outbox_scheduled (
  seq        bigint      generated always as identity primary key,
  due_at     timestamptz not null,
  bucket     smallint    not null,
  key_hash   integer     not null,
  topic      text        not null,
  id         uuid        not null,
  key        bytea,
  value      bytea,
  headers    bytea       not null,
  created_at timestamptz not null default trunkline.now()
);
create index outbox_scheduled_by_due on trunkline.outbox_scheduled (due_at, seq);

-- Below it the outbox has no row: the owner notes it from time to time, so that "how many wait" has a cheap upper bound.
alter table trunkline.outbox_lease add column floor bigint not null default 0;
