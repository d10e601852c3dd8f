import { cutCommits } from './cut-commits.ts'
import { PrivateServer } from './private-servers.ts'
import { Random } from './random.ts'

/** In all seeds of one run together, whatever their number. */
const CUTS = 1_000

/** Cuts 1,000 COMMITs on a server of its own and prints what the program was told. @returns whether all of it was true */
export async function proveCommits(seeds: number, from: number): Promise<boolean> {
  const server = await PrivateServer.start('PostgreSQL')
  let holds = true
  try {
    for (let seed = from; seed < from + seeds; seed++) {
      const url = await server.migratedDatabase(`cut_${seed}`)
      const { planned, fired, told, toldLater, wrong } = await cutCommits(url, Math.ceil(CUTS / seeds), new Random(seed))
      const held = wrong.length === 0 && fired === planned && toldLater.unknown === 0
      console.log(
        `commits seed ${seed}: ${held ? 'holds' : 'DOES NOT HOLD'} · ${fired} of ${planned} cut · told ${told.committed} committed, ${told.aborted} aborted, ` +
          `${told.unknown} unknown (later ${toldLater.committed} committed, ${toldLater.aborted} aborted) · ${wrong.length} wrong`,
      )
      for (const line of wrong.slice(0, 20)) console.log(`  ${line}`)
      holds &&= held
    }
  } finally {
    await server.kill()
  }
  return holds
}
