import type { Look, Term } from '../../core/outbox/outbox-store.ts'
import type { SingleSession } from './single-session.ts'

/** @returns `undefined` when the term is over */
export async function readLook(session: SingleSession, { owner, epoch }: Term, withinMs: number): Promise<Look | undefined> {
  let told = '{}'
  await session.askWithin(lookSql, [owner, epoch], withinMs, (row) => {
    told = row.text()
  })
  const facts: { mine: boolean; last: string; due: number | null } = JSON.parse(told)
  if (facts.mine !== true) return undefined
  return { lastNumber: BigInt(facts.last), dueInMs: facts.due === null ? undefined : Math.max(0, Math.ceil(facts.due)) }
}

// No row is read, and one value comes back: of an idle owner's look the longer half is to send it and to understand the answer.
const lookSql = `
  select json_build_object(
           'mine', (owner = $1 and epoch = $2 and expires_at > trunkline.now()) is true,
           'last', (select (last_value - (not is_called)::int)::text from trunkline.outbox_seq_seq),
           'due', (select extract(epoch from min(due_at) - trunkline.now()) * 1000 from trunkline.outbox_scheduled)
         )::text
    from trunkline.outbox_lease where shard = 0`
