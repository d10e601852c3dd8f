import { Client, type ClientBase, Query, type QueryConfig, type QueryResult } from 'pg'

/**
 * Sends a statement on a connection that pipelines.
 *
 * Given as a plain object, the driver copies it property by property, which takes longer than to write it: 4 µs of the 46
 * that an interleaved message cost (bench/consume.ts). A pool of another copy of the driver does not know our `Query`.
 */
export function submit(client: ClientBase, query: QueryConfig): Promise<QueryResult> {
  if (!(client instanceof Client)) return client.query(query)
  const { text, values, ...rest } = query
  return new Promise((resolve, reject) => {
    const sent = new Query(text, values, (error: Error | null | undefined, result: QueryResult) => {
      if (error) reject(error)
      else resolve(result)
    })
    client.query(Object.assign(sent, rest))
  })
}
