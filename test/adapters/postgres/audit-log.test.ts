import { PostgresAuditLog } from '../../../src/adapters/postgres/audit-log.ts'
import { auditLogConformance } from '../../conformance/audit-log.ts'
import { openDatabase } from './open-database.ts'

auditLogConformance('postgres', async () => {
  const { database } = await openDatabase({ connectTimeoutMs: 10_000 })
  return { database, audit: new PostgresAuditLog(database) }
})
