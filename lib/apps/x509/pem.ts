/** PEM (RFC 7468): labelled base64 blocks, text between them skipped. @module */

export interface PemBlock {
  label: string;
  der: Uint8Array;
}

/** The blocks of a text in their order. A block that is no base64 is left out. */
export function readPem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  for (const m of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[ \t\r]*\n([A-Za-z0-9+/=\s]*)-----END \1-----/g)) {
    const clean = m[2]!.replace(/\s+/g, '');
    if (clean === '' || clean.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(clean)) continue;
    blocks.push({ label: m[1]!, der: Uint8Array.from(atob(clean), (c) => c.charCodeAt(0)) });
  }
  return blocks;
}

/** One block, 64 characters a line, as OpenSSL writes it. */
export function writePem(label: string, der: Uint8Array): string {
  let s = '';
  for (let i = 0; i < der.length; i++) s += String.fromCharCode(der[i]!);
  const lines = btoa(s).match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
