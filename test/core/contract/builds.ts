import { event } from './schema-folder.ts'

const paid = [{ name: 'amount', type: 'long' }]
const priced = (field: object): object => ({ ...event('PriceChanged', [field], { key: 'id' }) })

/** What the old build of a service was generated from. */
export const oldSchemas = {
  'orders/OrderPaid.v1.avsc': event('OrderPaid', paid),
  'orders/PriceChanged.v1.avsc': priced({ name: 'price', type: 'string', doc: 'Such as 12.50.' }),
}

/** And the new one: `OrderPaid` grew by Avro's rules, `PriceChanged` changed its unit, which they cannot express. */
export const newSchemas = {
  ...oldSchemas,
  'orders/OrderPaid.v2.avsc': event('OrderPaid', [
    ...paid,
    { name: 'currency', type: 'string', default: 'EUR' },
    { name: 'note', type: ['null', 'string'], default: null },
  ]),
  'orders/PriceChanged.v2.avsc': priced({ name: 'cents', type: 'long' }),
  'orders/PriceChanged.v3.avsc': {
    ...priced({ name: 'cents', type: 'long' }),
    fields: [
      { name: 'id', type: 'string' },
      { name: 'net', type: 'long' },
      { name: 'vat', type: 'long', default: 0 },
    ],
  },
}
