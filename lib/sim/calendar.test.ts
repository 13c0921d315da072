import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { calendarTime, rfc3339, unixSeconds } from './calendar.js';

const Calendar = suite('lib/sim/calendar');

Calendar('calendarTime() and rfc3339() are the dates that JavaScript has, and unixSeconds() leads back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253402300799 }), (s) => {
      const date = new Date(s * 1000);
      const t = calendarTime(s);
      assert.is(`${t.weekday}, ${t.day} ${t.mon} ${String(t.year).padStart(4, '0')} ${t.time} GMT`, date.toUTCString());
      assert.is(rfc3339(s), date.toISOString().replace('.000', ''));
      assert.is(unixSeconds(rfc3339(s)), s);
    }),
    { numRuns: 5000 },
  );
});

Calendar('unixSeconds() heeds zones and fractions, and takes nothing else', () => {
  assert.is(unixSeconds('2024-02-29T01:30:00.25+01:30'), Date.parse('2024-02-29T00:00:00Z') / 1000);
  assert.is(unixSeconds('2024-01-01'), 0);
});

Calendar.run();
