/** strerror() of the errors that sockets return. */
const TEXT: Record<number, string> = {
  1: 'Operation not permitted', 11: 'Resource temporarily unavailable', 13: 'Permission denied', 19: 'No such device', 22: 'Invalid argument',
  32: 'Broken pipe', 71: 'Protocol error', 90: 'Message too long', 92: 'Protocol not available', 98: 'Address already in use',
  99: 'Cannot assign requested address', 100: 'Network is down', 101: 'Network is unreachable', 104: 'Connection reset by peer',
  105: 'No buffer space available',
  107: 'Transport endpoint is not connected', 110: 'Connection timed out', 111: 'Connection refused',
  113: 'No route to host', 115: 'Operation now in progress',
}; // prettier-ignore

/** The text for a positive errno. */
export const strerror = (errno: number): string => TEXT[errno] ?? `Unknown error ${errno}`;
