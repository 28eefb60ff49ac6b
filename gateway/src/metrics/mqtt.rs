//! Figures of MQTT.

use super::sheet::Sheet;
use super::table;
use crate::mqtt::Mqtt;

/// What the label `qos` says.
const QOS: [&str; 3] = ["0", "1", "2"];

pub(super) fn collect(mqtt: &Mqtt, sheet: &mut Sheet) {
    let figures = mqtt.figures();
    sheet.put(&table::MQTT_SESSIONS, &["connected"], figures.connected);
    sheet.put(&table::MQTT_SESSIONS, &["kept"], figures.kept);
    sheet.put(&table::MQTT_SUBSCRIPTIONS, &[], figures.subscriptions);
    sheet.put(&table::MQTT_FILTERS, &[], figures.filters);
    sheet.put(&table::MQTT_SHARED_GROUPS, &[], figures.groups);
    for (qos, amount) in QOS.into_iter().zip(figures.received) {
        sheet.put(&table::MQTT_RECEIVED, &[qos], amount.messages);
        sheet.put(&table::MQTT_RECEIVED_BYTES, &[qos], amount.bytes);
    }
    for (qos, amount) in QOS.into_iter().zip(figures.sent) {
        sheet.put(&table::MQTT_SENT, &[qos], amount.messages);
        sheet.put(&table::MQTT_SENT_BYTES, &[qos], amount.bytes);
    }
    for (why, count) in figures.dropped {
        sheet.put(&table::MQTT_DROPPED, &[why.name()], count);
    }
    for (why, count) in figures.refused {
        sheet.put(&table::MQTT_REFUSED, &[why.name()], count);
    }
    sheet.put(&table::MQTT_RETAINED, &[], figures.retained);
    sheet.put(&table::MQTT_RETAINED_BYTES, &[], figures.retained_bytes);
    sheet.put(&table::MQTT_COMMIT_SECONDS, &[], figures.commits);
}
