import type { AvroSchema } from '../../../src/core/contract/avro.ts'
import type { IncompatibilityKind } from '../../../src/core/contract/compatibility.ts'

/**
 * What Apache Avro 1.12 for Java says about pairs of schemas: reader, writer, and for those that cannot be read the kind
 * and the place. Facts of its published tests.
 *
 * @see https://github.com/apache/avro/tree/main/lang/java/avro/src/test/java/org/apache/avro: TestSchemas,
 *   TestSchemaCompatibility and its relatives (EnumDefaults, FixedSizeMismatch, MissingEnumSymbols, MissingUnionBranch, Multiple,
 *   NameMismatch, ReaderFieldMissingDefaultValue, TypeMismatch)
 */
const array = (items: AvroSchema): AvroSchema => ({ type: 'array', items })
const map = (values: AvroSchema): AvroSchema => ({ type: 'map', values })
const enumeration = (name: string, symbols: string, more: object = {}): AvroSchema => ({
  type: 'enum',
  name,
  symbols: symbols.split(''),
  ...more,
})
const fixed = (name: string, size: number): AvroSchema => ({ type: 'fixed', name, size })
const record = (name: string, ...fields: object[]): AvroSchema => ({ type: 'record', name, fields })
const field = (name: string, type: AvroSchema, more: object = {}): object => ({ name, type, ...more })

const ab = enumeration('Enum1', 'AB')
const abc = enumeration('Enum1', 'ABC')
const bc = enumeration('Enum1', 'BC')
const otherAb = enumeration('Enum2', 'AB')
const fixed4 = fixed('Fixed', 4)
const fixed8 = fixed('Fixed', 8)
const zero = { default: 0 }

const empty = record('Record1')
const aInt = record('Record1', field('a', 'int'))
const aLong = record('Record1', field('a', 'long'))
const aIntBInt = record('Record1', field('a', 'int'), field('b', 'int'))
const aDefault = record('Record1', field('a', 'int', zero))
const aIntBDefault = record('Record1', field('a', 'int'), field('b', 'int', zero))
const aDefaultBDefault = record('Record1', field('a', 'int', zero), field('b', 'int', zero))
const bOf = (type: AvroSchema, more: object = {}): AvroSchema => record('Record1', field('a', 'int', zero), field('b', type, more))
const listOf = (type: AvroSchema): AvroSchema => record('List', field('head', type), field('tail', 'List'))
const enumField = (symbols: string, enumDefault: string, more: object = {}): AvroSchema =>
  record('Record', field('Field', enumeration('Schema', symbols, { default: enumDefault }), more))
const inNamespace = (namespace: string): AvroSchema =>
  record('Record1', field('f1', ['null', array({ type: 'record', name: 'InnerRecord1', namespace, fields: [field('a', 'int')] })]))

/** Reader, writer. */
export const readable: readonly (readonly [AvroSchema, AvroSchema])[] = [
  ['boolean', 'boolean'],
  ['int', 'int'],
  ['long', 'int'],
  ['long', 'long'],
  ['float', 'int'],
  ['float', 'long'],
  ['double', 'long'],
  ['double', 'int'],
  ['double', 'float'],
  ['string', 'string'],
  ['bytes', 'bytes'],
  [array('int'), array('int')],
  [array('long'), array('int')],
  [map('int'), map('int')],
  [map('long'), map('int')],
  [ab, ab],
  [abc, ab],
  ['string', 'bytes'],
  ['bytes', 'string'],
  [[], []],
  [['float'], []],
  [['float'], ['int']],
  [['float'], ['long']],
  [['float'], ['int', 'long']],
  [['int'], ['int']],
  [
    ['int', 'string'],
    ['string', 'int'],
  ],
  [['int'], []],
  [['long'], []],
  [['long'], ['int']],
  [['double'], ['int']],
  [['double'], ['long']],
  [['double'], ['float']],
  [['string'], []],
  [['string'], ['bytes']],
  [['bytes'], []],
  [['bytes'], ['string']],
  [['double'], ['int', 'float']],
  ['float', ['int', 'float']],
  ['long', ['int', 'long']],
  ['double', ['int', 'float']],
  ['double', ['int', 'long', 'float', 'double']],
  ['float', ['float']],
  [['int'], 'int'],
  ['int', ['int']],
  [fixed4, fixed4],
  [empty, empty],
  [empty, aInt],
  [aInt, aInt],
  [aDefault, aInt],
  [aDefault, aDefault],
  [aInt, aDefault],
  [aLong, aInt],
  [aInt, aIntBInt],
  [aDefault, aIntBInt],
  [aIntBDefault, aInt],
  [aDefaultBDefault, empty],
  [aDefaultBDefault, aInt],
  [aIntBInt, aDefaultBDefault],
  [listOf('int'), listOf('int')],
  [listOf('long'), listOf('long')],
  [listOf('long'), listOf('int')],
  ['null', 'null'],
  [enumField('AB', 'A'), enumField('ABC', 'A')],
  [enumField('AB', 'B', { default: 'A' }), enumField('ABC', 'A', { default: 'B' })],
  [inNamespace('ns1'), inNamespace('ns2')],
]

/** Reader, writer, and for each reason its kind and Java's location: the reader's place, or for a branch of a union the writer's. */
export const unreadable: readonly (readonly [AvroSchema, AvroSchema, ...(readonly [IncompatibilityKind, string])[]])[] = [
  ['null', 'int', ['TYPE_MISMATCH', '/']],
  ['null', 'long', ['TYPE_MISMATCH', '/']],
  ['boolean', 'int', ['TYPE_MISMATCH', '/']],
  ['int', 'null', ['TYPE_MISMATCH', '/']],
  ['int', 'boolean', ['TYPE_MISMATCH', '/']],
  ['int', 'long', ['TYPE_MISMATCH', '/']],
  ['int', 'float', ['TYPE_MISMATCH', '/']],
  ['int', 'double', ['TYPE_MISMATCH', '/']],
  ['long', 'float', ['TYPE_MISMATCH', '/']],
  ['long', 'double', ['TYPE_MISMATCH', '/']],
  ['float', 'double', ['TYPE_MISMATCH', '/']],
  ['double', 'string', ['TYPE_MISMATCH', '/']],
  [fixed4, 'string', ['TYPE_MISMATCH', '/']],
  ['string', 'boolean', ['TYPE_MISMATCH', '/']],
  ['string', 'int', ['TYPE_MISMATCH', '/']],
  ['bytes', 'null', ['TYPE_MISMATCH', '/']],
  ['bytes', 'int', ['TYPE_MISMATCH', '/']],
  [aInt, 'int', ['TYPE_MISMATCH', '/']],
  [array('int'), array('long'), ['TYPE_MISMATCH', '/items']],
  [map('int'), array('int'), ['TYPE_MISMATCH', '/']],
  [array('int'), map('int'), ['TYPE_MISMATCH', '/']],
  [map('int'), map('long'), ['TYPE_MISMATCH', '/values']],
  ['int', otherAb, ['TYPE_MISMATCH', '/']],
  [otherAb, 'int', ['TYPE_MISMATCH', '/']],
  ['float', ['int', 'long', 'float', 'double'], ['TYPE_MISMATCH', '/3']],
  ['long', ['int', 'float'], ['TYPE_MISMATCH', '/1']],
  ['int', ['int', 'float'], ['TYPE_MISMATCH', '/1']],
  [listOf('int'), listOf('long'), ['TYPE_MISMATCH', '/fields/0/type']],
  [['int'], ['int', 'string'], ['MISSING_UNION_BRANCH', '/1']],
  [['string'], ['int', 'string'], ['MISSING_UNION_BRANCH', '/0']],
  [['int'], ['int', record('Record1', field('field1', 'int'))], ['MISSING_UNION_BRANCH', '/1']],
  [
    ['int', record('Record1', field('field1', 'int'))],
    ['int', record('Record2', field('field1', 'int'))],
    ['MISSING_UNION_BRANCH', '/1'],
  ],
  [['int'], ['int', ab], ['MISSING_UNION_BRANCH', '/1']],
  [['int'], ['int', fixed4], ['MISSING_UNION_BRANCH', '/1']],
  [['int'], ['int', 'boolean'], ['MISSING_UNION_BRANCH', '/1']],
  [['int'], ['long'], ['MISSING_UNION_BRANCH', '/0']],
  [['int'], ['float'], ['MISSING_UNION_BRANCH', '/0']],
  [['int'], ['double'], ['MISSING_UNION_BRANCH', '/0']],
  [['int'], ['bytes'], ['MISSING_UNION_BRANCH', '/0']],
  [['int'], ['int', array('int')], ['MISSING_UNION_BRANCH', '/1']],
  [['int'], ['int', map('int')], ['MISSING_UNION_BRANCH', '/1']],
  [['int'], ['int', 'null'], ['MISSING_UNION_BRANCH', '/1']],
  [
    ['int'],
    ['int', 'long', 'float', 'double'],
    ['MISSING_UNION_BRANCH', '/1'],
    ['MISSING_UNION_BRANCH', '/2'],
    ['MISSING_UNION_BRANCH', '/3'],
  ],
  [bOf(['int'], zero), bOf(['int', 'string'], zero), ['MISSING_UNION_BRANCH', '/fields/1/type/1']],
  [ab, otherAb, ['NAME_MISMATCH', '/name']],
  [record('Record2'), empty, ['NAME_MISMATCH', '/name']],
  [fixed4, fixed('AnotherName', 4), ['NAME_MISMATCH', '/name']],
  [bOf(ab), bOf(otherAb), ['NAME_MISMATCH', '/fields/1/type/name']],
  [fixed4, fixed8, ['FIXED_SIZE_MISMATCH', '/size']],
  [fixed8, fixed4, ['FIXED_SIZE_MISMATCH', '/size']],
  [bOf(fixed8), bOf(fixed4), ['FIXED_SIZE_MISMATCH', '/fields/1/type/size']],
  [bOf(fixed4), bOf(fixed8), ['FIXED_SIZE_MISMATCH', '/fields/1/type/size']],
  [ab, abc, ['MISSING_ENUM_SYMBOLS', '/symbols']],
  [bc, abc, ['MISSING_ENUM_SYMBOLS', '/symbols']],
  [record('Record1', field('field1', ab)), record('Record1', field('field1', abc)), ['MISSING_ENUM_SYMBOLS', '/fields/0/type/symbols']],
  [aInt, empty, ['READER_FIELD_MISSING_DEFAULT_VALUE', '/fields/0']],
  [aIntBDefault, empty, ['READER_FIELD_MISSING_DEFAULT_VALUE', '/fields/0']],
  // Its decoder: "Found Record1, expecting Record1, missing required field field1".
  [
    record('Record1', field('field1', enumeration('Enum', 'AB', { default: 'A' }))),
    record('Record1', field('field2', otherAb)),
    ['READER_FIELD_MISSING_DEFAULT_VALUE', '/fields/0'],
  ],
  // Its decoder: "No match for C": the default of the field does not stand in for a symbol.
  [
    record('Record1', field('field1', ab, { default: 'A' })),
    record('Record1', field('field1', abc)),
    ['MISSING_ENUM_SYMBOLS', '/fields/0/type/symbols'],
  ],
  [
    record(
      'base',
      field('check_enum_symbols_field', enumeration('check_enum_symbols_type', 'AC')),
      field('check_enum_name_field', enumeration('check_enum_name_type', 'ABCD')),
      field('type_mismatch_field', 'string'),
      field(
        'sub_record',
        record(
          'sub_record_type',
          field('identical_1_field', 'long', { default: 42 }),
          field('extra_no_default_field', 'long'),
          field('fixed_length_mismatch_field', fixed('fixed_length_mismatch_type', 4)),
          field('union_missing_branches_field', ['boolean']),
          field('reader_union_does_not_support_type_field', ['boolean']),
          field(
            'record_fqn_mismatch_field',
            record(
              'not_nsA.recordA',
              field('A_field_0', 'boolean', { default: true }),
              field('array_type_mismatch_field', array('string')),
            ),
          ),
        ),
      ),
    ),
    record(
      'base',
      field('check_enum_symbols_field', enumeration('check_enum_symbols_type', 'ABCD')),
      field('check_enum_name_field', enumeration('check_enum_name_type_ERR', 'ABCD')),
      field('type_mismatch_field', 'long'),
      field(
        'sub_record',
        record(
          'sub_record_type',
          field('identical_1_field', 'long', { default: 42 }),
          field('fixed_length_mismatch_field', fixed('fixed_length_mismatch_type', 8)),
          field('union_missing_branches_field', ['boolean', 'double', 'string']),
          field('reader_union_does_not_support_type_field', 'long'),
          field(
            'record_fqn_mismatch_field',
            record('nsA.recordA', field('A_field_0', 'boolean', { default: true }), field('array_type_mismatch_field', array('boolean'))),
          ),
        ),
      ),
    ),
    ['MISSING_ENUM_SYMBOLS', '/fields/0/type/symbols'],
    ['NAME_MISMATCH', '/fields/1/type/name'],
    ['TYPE_MISMATCH', '/fields/2/type'],
    ['READER_FIELD_MISSING_DEFAULT_VALUE', '/fields/3/type/fields/1'],
    ['FIXED_SIZE_MISMATCH', '/fields/3/type/fields/2/type/size'],
    ['MISSING_UNION_BRANCH', '/fields/3/type/fields/3/type/1'],
    ['MISSING_UNION_BRANCH', '/fields/3/type/fields/3/type/2'],
    ['MISSING_UNION_BRANCH', '/fields/3/type/fields/4/type'],
    ['TYPE_MISMATCH', '/fields/3/type/fields/5/type/fields/1/type/items'],
  ],
]
