-- Sagas: instances, their history and timers, and what a participant remembers of the commands it was sent.

-- No index holds a column that a transition changes, so updates stay in their page.
create table trunkline.saga_instance (
  id                 uuid        primary key,
  saga               text        not null,
  definition_version integer     not null,
  graph_hash         text        not null,
  business_key       text        not null,
  status             text        not null check (status in ('running', 'compensating', 'completed', 'compensated', 'stuck')),
  reason             text,
  -- json, not jsonb: a user's text may hold U+0000, and the state must come back as it was.
  state              json        not null,
  steps              json        not null,
  -- The number of the last history row.
  version            integer     not null,
  correlation_id     text        not null,
  -- The truth about the timer; null when nothing is waited for.
  due_at             timestamptz,
  started_at         timestamptz not null default trunkline.now(),
  updated_at         timestamptz not null default trunkline.now()
) with (fillfactor = 70);

-- One row for each input, applied or ignored.
create table trunkline.saga_history (
  saga_id uuid        not null,
  seq     integer     not null,
  at      timestamptz not null default trunkline.now(),
  status  text        not null,
  input   json        not null,
  effects json        not null,
  primary key (saga_id, seq)
);

-- One row for each instance that waits: when to look at it. It may be too early, never too late;
-- whoever changes it holds the lock of the instance.
create table trunkline.saga_timer (
  saga_id            uuid        primary key,
  saga               text        not null,
  definition_version integer     not null,
  due_at             timestamptz not null
) with (fillfactor = 70);
create index saga_timer_by_due on trunkline.saga_timer (saga, definition_version, due_at);

-- In each participant's own database: a row for each action of a saga that came here, or was cancelled before it came.
create table trunkline.saga_participant (
  -- The command id of the action, also where its compensation came first.
  action_id                  uuid        primary key,
  state                      text        not null check (state in ('applied', 'cancelled')),
  reply_name                 text,
  reply_version              integer,
  reply_topic                text,
  reply_value                bytea,
  compensation_reply_name    text,
  compensation_reply_version integer,
  compensation_reply_topic   text,
  compensation_reply_value   bytea,
  at                         timestamptz not null default trunkline.now()
);
create index saga_participant_by_age on trunkline.saga_participant using brin (at);
