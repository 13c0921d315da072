/**
 * Small parts of API objects.
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { type Json, type JsonMap, isMap } from './go-values.js';

/** Lower-case hexadecimal digits. */
export const hex = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
/** SHA-256 of a text. */
export const digest = (text: string): Uint8Array => sha256(new TextEncoder().encode(text));

/** The map that a value is, or an empty one. */
export const map = (v: Json | undefined): JsonMap => (isMap(v) ? v : {});
export const some = (o: object): boolean => Object.keys(o).length > 0;
/** The fields that are neither absent nor empty nor zero. */
export const optional = (fields: Record<string, Json | undefined>): JsonMap => Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== undefined && v !== '' && v !== 0)) as JsonMap; // prettier-ignore
