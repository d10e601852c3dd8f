-- The inbox by the hour of the messages' own time, a partition a day: what no message can be sent again for is dropped
-- at once, and the part of the index that is written stays small.

drop table trunkline.inbox;
create table trunkline.inbox (
  consumer_group text        not null,
  -- Hours since 1970, from the message's id; 0 where it says no time. Never from now(): see core/inbox/slot.ts.
  slot           integer     not null,
  id             uuid        not null,
  handled_at     timestamptz not null default trunkline.now(),
  primary key (consumer_group, slot, id)
) partition by range (slot);

-- Whatever has no time, or one for which there is no partition; forgotten by when it was handled.
create table trunkline.inbox_rest partition of trunkline.inbox default;
create index inbox_rest_by_age on trunkline.inbox_rest (handled_at);

-- Opens a partition. What was claimed for its hours before moves there, and nobody claims meanwhile.
create function trunkline.open_inbox(name text, first integer, past integer) returns void language plpgsql as $$
begin
  execute format('create table trunkline.%I (like trunkline.inbox including all)', name);
  lock table trunkline.inbox_rest in access exclusive mode;
  execute format(
    'with moved as (delete from trunkline.inbox_rest where slot >= $1 and slot < $2 returning consumer_group, slot, id, handled_at)
     insert into trunkline.%I (consumer_group, slot, id, handled_at) select consumer_group, slot, id, handled_at from moved', name)
    using first, past;
  execute format('alter table trunkline.inbox attach partition trunkline.%I for values from (%s) to (%s)', name, first, past);
end $$;
