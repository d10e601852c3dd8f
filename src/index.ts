// The backbone: publish, subscribe, saga.

// A log in memory, shared by the backbones of one process, and what can be made to go wrong in it.
export type { FaultChances, MemoryFault, MemoryFaults } from './adapters/memory/memory-faults.ts'
export { MemoryLog, type MemoryLogOptions } from './adapters/memory/memory-log.ts'
// A transaction of your own, on a client of your own.
export { fromPg } from './adapters/postgres/from-pg.ts'
export { Backbone, createBackbone, type StartOptions } from './backbone.ts'
export { type BackboneOptions, type Config, defineConfig } from './config.ts'

// Handlers, what they receive, and what runs around them.
export type { Incoming, Middleware } from './core/consume/middleware.ts'
export type { SubscriptionOptions } from './core/consume/registry.ts'
export type { Delivery, Handler, PublishOptions } from './core/consume/subscription.ts'
export type { AnyContract, Contract, Message, MessageKind, Outgoing } from './core/contract/contract.ts'
export type { RegistrySchema, SchemaReference, SchemaRegistry, SubjectStrategy } from './core/contract/registry.ts'
// For an old version of a message that Avro's own rules cannot read as the new one.
export { upcast } from './core/contract/upcast.ts'
export type { Queryable, QueryResult, Transaction, TransactionOutcome } from './core/database/database.ts'
// What the backbone says about itself.
export type { BackboneDiagnostics, DiagnosticCatalogue } from './core/diagnostics.ts'
export type { Health, PartHealth } from './core/health.ts'
export type { Logger } from './core/logger.ts'
// Sagas: a definition is data, `transition` is pure.
export { type SagaDefinition, saga } from './core/saga/definition.ts'
export { transition } from './core/saga/transition.ts'
export { environment } from './environment.ts'
export type { Duration } from './foundation/duration.ts'
// Errors: one class per reaction, one code per cause.
export {
  ConfigurationError,
  ConflictError,
  ContractError,
  isTrunklineError,
  PermanentError,
  StuckError,
  TransientError,
  TrunklineError,
  UnknownOutcomeError,
} from './foundation/errors.ts'
