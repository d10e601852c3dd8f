import { createBackbone, environment } from 'trunkline'
import { stockService } from './service.ts'
import { createTables } from './tables.ts'

const backbone = createBackbone({ service: 'stock', ...environment() })
stockService(backbone)
await backbone.transaction(createTables)
await backbone.run()
