import { Backbone, createBackbone } from '../../../src/index.ts'
import { Assembly } from '../assembly.ts'
import { variants } from '../broken/variants.ts'
import { installFailpoints } from '../failpoints.ts'
import { type ParsedPlan, planSchema } from '../plan.ts'
import { reportUsage } from '../usage.ts'
import { applyCounted, publishCounted } from '../workload.ts'

const plan = planSchema.parse(JSON.parse(process.env['PLAN'] ?? '{}'))
const service = serviceOf(plan)
installFailpoints(service.diagnostics, plan.failpoints)
applyCounted(service, plan)
service.diagnostics.on(({ name }) => {
  if (name === 'relay.term_started' || name === 'service.stopped' || name === 'consumer.assigned') console.log(name)
})

if (plan.reports !== undefined) reportUsage(plan.reports)

let handled = 0
service.diagnostics.on(({ name }) => {
  if (name === 'delivery.started') handled++
})
const stopped = (): void => {
  console.log(`handled ${handled}`)
  console.log('stopped')
}
if (plan.supervised && service instanceof Backbone) {
  await service.run({ run: [...plan.run] })
  void service.finished.then(stopped)
} else {
  process.once('SIGTERM', () => void service.stop().then(stopped))
  if (plan.run.length > 0) await service.start({ run: plan.run })
}
console.log('ready')
if (plan.publish !== undefined) {
  await publishCounted(service, plan.topic, plan.publish)
  console.log('published')
}
if (plan.run.length === 0) await service.stop()

/** The product's own face; a broken variant has to be put together by hand. */
function serviceOf({ brokers, driver, databaseUrl, service, relay, broken }: ParsedPlan) {
  const options = {
    service,
    kafka: { driver, brokers },
    database: { connectionString: databaseUrl },
    relay,
    // The keys of a program that was killed go on soon.
    parking: { lease: '1s', idleDelay: '50ms', workers: 4 },
    // A frozen program holds its locks for so long; it must not take a test's whole time.
    idleInTransaction: '5s',
    watchdog: '2s',
    // So that a test need not wait long until a program that was killed counts as dead.
    heartbeat: '3s',
    logger: false,
  } as const
  return broken === undefined ? createBackbone(options) : new Assembly(options, variants[broken])
}
