// For the tests of services: the whole backbone, on a log in memory and a database of the test's own.
export type { DeadLetter } from '../../adapters/postgres/queries/unsettled.ts'
export type { Explore } from './explore.ts'
export type { FaultKind } from './fault-plan.ts'
export type { Published } from './published.ts'
export { type TestBackbone, testBackbone } from './test-backbone.ts'
export type { QuietOptions, TestBackboneOptions } from './test-options.ts'
export { testServer } from './test-server.ts'
