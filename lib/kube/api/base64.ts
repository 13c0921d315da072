/**
 * Base64 of byte strings, as Secrets and binary data have it.
 * @module
 */

/** The base64 of a text's UTF-8. */
export function toBase64(text: string): string {
  let bytes = '';
  for (const b of new TextEncoder().encode(text)) bytes += String.fromCharCode(b);
  return btoa(bytes);
}

/** The bytes of a base64 text; none for a text that is not base64. */
export function fromBase64(text: string): Uint8Array {
  const clean = text.replace(/[\r\n]/g, '');
  if (!/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(clean)) return new Uint8Array(0);
  return Uint8Array.from(atob(clean), (c) => c.charCodeAt(0));
}
