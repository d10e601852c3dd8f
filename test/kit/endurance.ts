import { absences } from './absences.ts'
import { heldByConsumer, heldByRelay, publishBacklog } from './memory-proof.ts'
import type { Proof } from './proofs.ts'
import { soak } from './soak.ts'
import { Tally } from './tally.ts'

const LOST_REPLIES = 5

/** What a program holds in the long run, and under load that it cannot pass on. */
export const endurance: Readonly<Record<string, Proof>> = {
  soak: {
    about: 'messages come for 30 minutes (--minutes), some fail, members come and go: memory and handles stay flat (G3, G4, G8)',
    disturb: async (run, random, _, { minutes }) => await soak(run, random, minutes),
  },

  absences: {
    about: 'Kafka and the database are away ten times each, for a twentieth of --minutes every time; one process comes back (G2–G6)',
    disturb: async (run, random, _, { minutes }) => {
      const faults = await absences(run, random, { times: 10, awayMs: (minutes * 60_000) / 20 })
      run.spawn({ run: ['relay', 'consume'] })
      return faults
    },
  },

  memory: {
    about: '480 MB go through a relay that does not hear every answer, and a consumer whose database is silent: neither holds 150 (G8)',
    disturb: async (run) => {
      const faults = new Tally()
      await publishBacklog(run, { messages: 600, messageBytes: 800_000 })
      const relay = await heldByRelay(run, LOST_REPLIES)
      const consumerMb = await heldByConsumer(run)
      console.log(`  the relay held ${relay.heldMb} MB, the consumer ${consumerMb} MB`)
      for (let lost = 0; lost < LOST_REPLIES; lost++) faults.note('Produce reply lost', lost < relay.lost)
      faults.note('the relay held less than 150 MB', relay.heldMb < 150)
      faults.note('the consumer held less than 150 MB', consumerMb < 150)
      return faults.all
    },
  },
}
