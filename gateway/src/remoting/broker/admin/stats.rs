//! What was counted in the last minute, hour and day.

use ferromq_broker::Broker;
use ferromq_broker::stats::{Amount, Counter, GroupStats, Period, Series};
use ferromq_model::QueueId;
use ferromq_protocol::body::stats::{StatsData, StatsItem};
use ferromq_protocol::code::ResponseCode;
use ferromq_protocol::frame::Command;
use ferromq_protocol::header::Header;
use ferromq_protocol::header::admin::ViewStats;

use super::{Outcome, json};
use crate::remoting::reply::Reply;

/// Shows one counter's past. What never counted anything does not exist, as in the reference.
pub(super) fn view(broker: &Broker, request: &Command<'_>) -> Outcome {
    let header = ViewStats::decode(&request.fields)?;
    let Some((series, amount)) = find(broker, header.name, header.key) else {
        let text = format!("The stats <{}> <{}> not exist", header.name, header.key);
        return Err(Reply::error(ResponseCode::SystemError, text));
    };
    let item = |period| {
        let figures = series.figures(period, amount);
        StatsItem { avgpt: figures.per_call, sum: figures.sum, tps: figures.per_second }
    };
    json(&StatsData {
        stats_day: item(Period::Day),
        stats_hour: item(Period::Hour),
        stats_minute: item(Period::Minute),
    })
}

fn find(broker: &Broker, name: &str, key: &str) -> Option<(Series, Amount)> {
    let amount = if name.ends_with("_SIZE") { Amount::Bytes } else { Amount::Messages };
    let series = match name {
        "TOPIC_PUT_NUMS" | "TOPIC_PUT_SIZE" => broker.topics().find(key)?.stats().puts(),
        "QUEUE_PUT_NUMS" | "QUEUE_PUT_SIZE" => {
            let (topic, queue) = key.rsplit_once('@')?;
            broker.topics().find(topic)?.stats().queue_puts(QueueId(queue.parse().ok()?))
        }
        "GROUP_GET_NUMS" | "GROUP_GET_SIZE" => of_group(broker, key, |group| &group.got),
        "SNDBCK_PUT_NUMS" => of_group(broker, key, |group| &group.sent_back),
        "DLQ_PUT_NUMS" => of_group(broker, key, |group| &group.dead_letters),
        "GROUP_ACK_NUMS" => of_group(broker, key, |group| &group.acked),
        "GROUP_CK_NUMS" => of_group(broker, key, |group| &group.checkpoints),
        "BROKER_PUT_NUMS" if key == broker.config().cluster => broker.stats().puts(),
        "BROKER_GET_NUMS" if key == broker.config().cluster => broker.stats().got.series(),
        _ => None,
    };
    Some((series?, amount))
}

/// The past of a counter with the key `topic@group`.
fn of_group(broker: &Broker, key: &str, counter: fn(&GroupStats) -> &Counter) -> Option<Series> {
    let (topic, group) = key.split_once('@')?;
    counter(&*broker.topics().find(topic)?.stats().group(group)?).series()
}
