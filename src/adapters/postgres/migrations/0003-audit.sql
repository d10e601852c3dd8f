-- What people did to the state of a service, written in the transaction of the act. It is only ever added to.
create table trunkline.audit (
  seq     bigint      generated always as identity primary key,
  at      timestamptz not null default trunkline.now(),
  actor   text        not null,
  act     text        not null,
  subject text        not null,
  reason  text,
  details jsonb       not null
);
create index audit_by_subject on trunkline.audit (subject, seq);
