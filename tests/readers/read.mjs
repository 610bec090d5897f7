// Read a calendar as Thunderbird's ical.js does, and print what it says as JSON. Argument: where rules end, ISO 8601.
import fs from "node:fs";
import ICAL from "ical.js";

const root = new ICAL.Component(ICAL.parse(fs.readFileSync(0, "utf8")));
for (const zone of root.getAllSubcomponents("vtimezone")) ICAL.TimezoneService.register(zone);
const until = Date.parse(process.argv[2]) / 1000;
const iso = (seconds) => new Date(seconds * 1000).toISOString();
const value = (component, name) => component.getFirstPropertyValue(name);

function spans(component) {
  const start = value(component, "dtstart");
  const length = value(component, "dtend").toUnixTime() - start.toUnixTime();
  const found = [];
  const moments = value(component, "rrule")?.iterator(start);
  for (let at = moments ? moments.next() : start; at && at.toUnixTime() < until; at = moments?.next())
    found.push([iso(at.toUnixTime()), iso(at.toUnixTime() + length)]);
  return found;
}

console.log(
  JSON.stringify({
    events: root.getAllSubcomponents("vevent").map((event) => ({
      uid: value(event, "uid"),
      sequence: value(event, "sequence"),
      status: value(event, "status"),
      summary: value(event, "summary"),
      description: value(event, "description") ?? "",
      spans: spans(event),
    })),
    busy: root.getAllSubcomponents("vfreebusy").flatMap((each) =>
      each.getAllProperties("freebusy").flatMap((line) =>
        line.getValues().map((span) => [
          line.getParameter("fbtype"),
          iso(span.start.toUnixTime()),
          iso(span.getEnd().toUnixTime()),
        ]),
      ),
    ),
    layers: root.getAllSubcomponents("vavailability").map((layer) => ({
      priority: value(layer, "priority"),
      span: spans(layer)[0],
      available: layer.getAllSubcomponents("available").flatMap(spans),
    })),
  }),
);
