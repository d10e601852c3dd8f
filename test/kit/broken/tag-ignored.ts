import type { Pool, PoolClient, QueryResult } from 'pg'

/** A pool whose connections answer COMMIT with the tag COMMIT, whatever the server said: as if nobody looked at it. */
export function tagIgnored(pool: Pool): Pool {
  pool.on('connect', (client: PoolClient) => {
    const query: (...given: unknown[]) => unknown = client.query.bind(client)
    const ignoring = (...given: unknown[]): unknown => {
      const answer = query(...given)
      const [config] = given
      const isCommit = typeof config === 'object' && config !== null && 'text' in config && config.text === 'commit'
      return isCommit && answer instanceof Promise ? answer.then((result: QueryResult) => ({ ...result, command: 'COMMIT' })) : answer
    }
    Object.assign(client, { query: ignoring })
  })
  return pool
}
