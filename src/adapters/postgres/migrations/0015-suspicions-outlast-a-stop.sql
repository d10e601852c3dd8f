-- A process that had the key died: its first message runs alone, in whichever process it is at last.
alter table trunkline.parked_key add column suspect boolean not null default false;
