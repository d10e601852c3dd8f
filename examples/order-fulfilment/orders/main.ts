import { createBackbone, environment } from 'trunkline'
import { ordersService } from './service.ts'
import { createTables } from './tables.ts'

const backbone = createBackbone({ service: 'orders', ...environment() })
ordersService(backbone)
await backbone.transaction(createTables)
await backbone.run()
