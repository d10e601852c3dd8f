import { setImmediate as nextTurn } from 'node:timers/promises'
import { createLogger } from '../../src/adapters/pino/logger.ts'
import { PostgresSagaStore } from '../../src/adapters/postgres/saga-store.ts'
import { Pause } from '../../src/core/consume/pause.ts'
import { SubscriptionRegistry } from '../../src/core/consume/registry.ts'
import type { Transaction } from '../../src/core/database/database.ts'
import { SagaCoordinator } from '../../src/core/saga/coordinator.ts'
import { SagaTimers, sagaTimerOptions } from '../../src/core/saga/timers.ts'
import { systemClock } from '../../src/foundation/clock.ts'
import { newToken } from '../../src/foundation/ids.ts'
import { Loop } from '../../src/foundation/service.ts'
import { buildGroups } from '../../src/wiring/consume.ts'
import { ConsumeBench } from '../core/consume/consume-bench.ts'
import { fulfilment } from '../core/saga/given.ts'
import { countedOn } from '../kit/contracts.ts'
import { until, Witness } from '../kit/wait.ts'
import { publishNext } from '../kit/workload.ts'
import { type ServiceSubject, serviceConformance } from './service.ts'

serviceConformance('a loop', async () => () => {
  let begun = 0
  let turns = 0
  const service = new Loop('test', async (signal) => {
    begun++
    for (; !signal.aborted; turns++) await nextTurn()
  })
  return {
    service,
    running: () => service.running,
    begun: () => begun,
    activity: () => turns,
    busy: () => until('a turn', () => turns > 0).then(() => undefined),
    lookOn: () => nextTurn(),
  }
})

serviceConformance('the relay', async () => {
  const bench = await ConsumeBench.open()
  const publisher = bench.assembly()
  return () => {
    const assembly = bench.assembly()
    const witness = new Witness(assembly.diagnostics)
    return {
      service: assembly.relay,
      running: () => assembly.relay.ready,
      begun: () => witness.count('relay.term_started'),
      ...observed(bench, witness),
      busy: async () => {
        await publishNext(publisher, 't', 'a')
        await witness.saw('relay.sending')
      },
    }
  }
})

serviceConformance('a consumer', async () => {
  const bench = await ConsumeBench.open()
  const registry = waitingRegistry()
  return () => {
    const { group, witness } = groupOn(bench, registry)
    return {
      service: group.consumer,
      running: () => group.consumer.ready,
      begun: () => witness.count('consumer.assigned'),
      ...observed(bench, witness),
      busy: async () => {
        await bench.publish('a')
        await witness.saw('delivery.started')
      },
    }
  }
})

serviceConformance('the retries of a group', async () => {
  const bench = await ConsumeBench.open()
  const registry = waitingRegistry()
  return () => {
    const { group, witness } = groupOn(bench, registry)
    return {
      service: group.retries,
      running: () => group.retries.ready,
      begun: () => witness.count('retry.leased'),
      ...observed(bench, witness),
      busy: async () => {
        await bench.park('a')
        await witness.saw('delivery.started')
      },
    }
  }
})

/** Its handler ends when it is told to, as a handler should; its message is handled by the next one. */
function waitingRegistry(): SubscriptionRegistry<Transaction> {
  const registry = new SubscriptionRegistry<Transaction>(60_000)
  registry.add('judge', [countedOn('t')], (_, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', reject)))
  return registry
}

function groupOn(bench: ConsumeBench, registry: SubscriptionRegistry<Transaction>) {
  const { diagnostics, database, log, options } = bench.assembly()
  const parts = {
    clock: systemClock,
    logger: createLogger('judge', 'silent'),
    middlewares: [],
    pause: new Pause(),
    processId: newToken(),
    diagnostics,
    ...database,
    ...log,
  }
  const settings = { parking: options.parking, stopDeadlineMs: 1_000, maxConnections: 4, onFailure: () => undefined }
  const [group] = buildGroups(registry.groups(), parts, settings)
  if (group === undefined) throw new Error('There is a group in the registry.')
  return { group, witness: new Witness(diagnostics) }
}

serviceConformance("the sagas' timers", async () => {
  const bench = await ConsumeBench.open()
  return () => {
    const { diagnostics, database } = bench.assembly()
    const { publisher } = database
    let looks = 0
    let looking = 0
    let side = 0
    const counted = async <Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> => {
      looks++
      side = Math.max(side, ++looking)
      return await publisher.transaction(work).finally(() => looking--)
    }
    const store = new PostgresSagaStore<Transaction>({ database: database.database })
    const parts = { ...database, diagnostics, store }
    const coordinators = [new SagaCoordinator<Transaction>(parts, [fulfilment])]
    const service = new SagaTimers<Transaction>(
      { ...parts, coordinators, publisher: { transaction: counted } },
      sagaTimerOptions.parse({ idleDelay: '10ms' }),
    )
    return {
      service,
      running: () => service.ready,
      begun: () => side,
      activity: () => looks,
      busy: () => until('a look at the timers', () => looking > 0).then(() => undefined),
      lookOn: () => roundTrips(bench),
    }
  }
})

/** What a part does shows in its diagnostics. */
function observed(bench: ConsumeBench, witness: Witness): Pick<ServiceSubject, 'activity' | 'lookOn'> {
  return { activity: () => witness.total, lookOn: () => roundTrips(bench) }
}

/** A few more answers of the server than anything that was under way waits for. */
async function roundTrips(bench: ConsumeBench): Promise<void> {
  for (let trip = 0; trip < 10; trip++) await bench.query('select 1')
}
