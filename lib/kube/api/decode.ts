/**
 * The API server's strict decoder: every field of a manifest is known and has the type that Go gives it.
 *
 * Errors are in its words (sigs.k8s.io/json; Quantity, Time and IntOrString of apimachinery), the first in the order of the
 * manifest. What podwire does not read is checked here as well.
 * @module
 */
import { fieldsOf } from './api-types.js';
import type { At } from './at.js';

/** Where the decoder stands: the object, the Go struct and the path without indexes, the path with them. */
interface Frame {
  head: string;
  struct: string;
  path: string;
  indexed: string;
}

/** Checks an object against the Go type of its kind; a kind that is not in the table passes. Throws InputError. */
export function decodeStrict(at: At, kind: string, api: string): void {
  const head = `${kind} in version "${api}" cannot be handled as a ${kind}: `;
  const type = `${api.includes('projectcalico.org/') ? 'calico' : 'v1'}.${kind}`;
  if (fieldsOf(type) !== null) decode(at, type, { head, struct: '', path: '', indexed: '' });
}

const mismatch = (at: At, f: Frame, type: string, value: string = at.jsonType): never =>
  at.failPlain(`${f.head}json: cannot unmarshal ${value} into Go struct field ${f.struct}.${f.path} of type ${type}`);

function decode(at: At, declared: string, f: Frame): void {
  if (at.isNull) return;
  const [name, alias] = declared.split('=') as [string, ...string[]];
  const type = alias ?? name;
  const json = at.jsonType;
  if (type === 'string' || type === 'bool') return json === type ? undefined : mismatch(at, f, name);
  if (type === 'int32' || type === 'int64') return int(at, type, f);
  if (type === 'float64') return float(at, f);
  if (type.startsWith('[]') && type !== '[]uint8')
    return list(at, name, name.slice(2) + (alias === undefined ? '' : `=${alias.slice(2)}`), f);
  if (type.startsWith('map[')) return values(at, name, type.slice(type.indexOf(']') + 1), f);
  const special = SPECIAL[type];
  if (special !== undefined) return special(at, f);
  struct(at, name, f);
}

const SPECIAL: Record<string, (at: At, f: Frame) => void> = {
  'intstr.IntOrString': (at, f) => {
    if (at.jsonType !== 'string') int(at, 'int32', f);
  },
  'numorstring.Port': (at, f) => {
    if (at.jsonType !== 'string') int(at, 'int32', f);
  },
  'resource.Quantity': quantity,
  'v1.Time': time,
  'v1.MicroTime': time,
  '[]uint8': base64,
  bytes: base64,
  'v1.FieldsV1': () => {},
};

function float(at: At, f: Frame): void {
  if (at.jsonType !== 'number') mismatch(at, f, 'float64');
  const v = Number(at.plain());
  if (!Number.isFinite(v)) mismatch(at, f, 'float64', `number ${String(v)}`);
}

function int(at: At, type: 'int32' | 'int64', f: Frame): void {
  if (at.jsonType !== 'number') mismatch(at, f, type);
  const v = Number(at.plain());
  const limit = type === 'int32' ? 2 ** 31 : 2 ** 63;
  if (!Number.isInteger(v) || v < -limit || v >= limit) mismatch(at, f, type, `number ${String(v)}`);
}

function list(at: At, name: string, item: string, f: Frame): void {
  if (at.jsonType !== 'array') mismatch(at, f, name);
  at.list().forEach((x, i) => decode(x, item, { ...f, indexed: `${f.indexed}[${i}]` }));
}

function values(at: At, name: string, item: string, f: Frame): void {
  if (at.jsonType !== 'object') mismatch(at, f, name);
  for (const e of at.entries()) decode(e.at, item, f);
}

function struct(at: At, type: string, f: Frame): void {
  const fields = fieldsOf(type);
  if (fields === null) throw new Error(`BUG: no type ${type}`);
  if (at.jsonType !== 'object') mismatch(at, f, type);
  const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);
  for (const e of at.entries()) {
    const field = fields.get(e.key);
    const indexed = join(f.indexed, e.key);
    if (field === undefined)
      return e.keyAt.failPlain(
        `${f.head}strict decoding error: unknown field "${indexed.slice(0, 200)}", expected one of: ${[...fields.keys()].join(', ')}`,
      );
    decode(e.at, field, { head: f.head, struct: type.replace(/^.*\./, ''), path: join(f.path, e.key), indexed });
  }
}

const FORMAT = /^[+-]?(\d+(\.\d*)?|\.\d+)[eEinumkKMGTP]*[-+]?\d*$/;
const QUANTITY = /^[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;

function quantity(at: At, f: Frame): void {
  const v = at.plain();
  const text = typeof v === 'number' || typeof v === 'string' ? String(v) : '';
  if (!FORMAT.test(text))
    at.failPlain(
      `${f.head}quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
    );
  if (!QUANTITY.test(text)) at.failPlain(`${f.head}unable to parse quantity's suffix`);
}

const TIME = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3])(:[0-5]\d){2}(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function time(at: At, f: Frame): void {
  if (at.jsonType !== 'string') mismatch(at, f, 'string');
  const v = at.str();
  if (TIME.test(v)) return;
  const layout = '2006-01-02T15:04:05Z07:00';
  const year = /^\d{4}/.test(v) ? '' : `: cannot parse "${v.slice(0, 80)}" as "2006"`;
  at.failPlain(`${f.head}parsing time "${v.slice(0, 80)}" as "${layout}"${year}`);
}

function base64(at: At, f: Frame): void {
  if (at.jsonType !== 'string') mismatch(at, f, '[]uint8');
  const v = at.str().replace(/[\r\n]/g, '');
  const bad = v.search(/[^A-Za-z0-9+/]/);
  if (bad < 0 ? v.length % 4 !== 0 : !/^=$|^==$/.test(v.slice(bad)) || v.length % 4 !== 0)
    at.failPlain(`${f.head}illegal base64 data at input byte ${bad < 0 ? v.length - (v.length % 4) : bad}`);
}
