-- What a process had begun and not ended, so that a message that ends processes is found.

-- Written before a batch: how far it goes, and which process runs it. Cleared by the batch's own transaction.
alter table trunkline.consumer_position add column started_to bigint;
alter table trunkline.consumer_position add column started_by uuid;
-- Below it a process died in the middle: each message runs alone, and a mark means that one message.
alter table trunkline.consumer_position add column suspect_to bigint;
