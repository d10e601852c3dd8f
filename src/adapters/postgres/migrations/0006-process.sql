-- Who consumes, and what a person wants of whom.

-- A process that consumes. It says again and again that it is alive; one whose row is old, or gone, is dead.
create table trunkline.process (
  id         uuid        primary key,
  service    text        not null,
  host       text        not null,
  pid        integer     not null,
  groups     text[]      not null,
  -- Of its groups those that are paused, and of which nothing runs any more.
  paused     text[]      not null,
  started_at timestamptz not null default trunkline.now(),
  expires_at timestamptz not null
) with (fillfactor = 50);

-- A row present: no process begins anything of this group.
create table trunkline.group_pause (
  consumer_group text        primary key,
  paused_at      timestamptz not null default trunkline.now(),
  paused_by      text        not null,
  reason         text        not null
);
