import { createBackbone, environment } from 'trunkline'
import { paymentsService } from './service.ts'
import { createTables } from './tables.ts'

const backbone = createBackbone({ service: 'payments', ...environment() })
paymentsService(backbone)
await backbone.transaction(createTables)
await backbone.run()
