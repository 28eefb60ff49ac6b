import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.body.ConsumeStatsList;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.admin.api.MessageTrack;

/**
 * The calls of the admin API that the official dashboard and the official Prometheus exporter make, and a few that no
 * program makes but whose requests a broker serves. The answer is printed by {@link Plain}.
 */
final class Api {
    private final Names names;
    private DefaultMQAdminExt admin;

    Api(Names names) {
        this.names = names;
    }

    String call(String method, String... args) throws Exception {
        if (admin == null) {
            admin = new DefaultMQAdminExt(10_000);
            admin.setInstanceName("dashboard");
            admin.start();
        }
        return Plain.of(answer(method, args));
    }

    private Object answer(String method, String... args) throws Exception {
        String broker = names.get("broker");
        switch (method) {
            case "examineBrokerClusterInfo":
                return admin.examineBrokerClusterInfo();
            case "fetchAllTopicList":
                return admin.fetchAllTopicList();
            case "fetchTopicsByCLuster":
                return admin.fetchTopicsByCLuster(args[0]);
            case "fetchBrokerRuntimeStats":
                return admin.fetchBrokerRuntimeStats(broker);
            case "getBrokerConfig":
                return admin.getBrokerConfig(broker);
            case "examineTopicRouteInfo":
                return admin.examineTopicRouteInfo(args[0]);
            case "examineTopicConfig":
                return admin.examineTopicConfig(broker, args[0]);
            case "examineTopicStats":
                return admin.examineTopicStats(args[0]);
            case "examineConsumeStats":
                if (args[0].equals(broker)) {
                    return admin.examineConsumeStats(broker, args[1], args.length == 2 ? null : args[2], 3000);
                }
                return args.length == 1 ? admin.examineConsumeStats(args[0]) : admin.examineConsumeStats(args[0], args[1]);
            case "examineConsumerConnectionInfo":
                return admin.examineConsumerConnectionInfo(args[0]);
            case "examineProducerConnectionInfo":
                return admin.examineProducerConnectionInfo(args[0], args[1]);
            case "getAllProducerInfo":
                return admin.getAllProducerInfo(broker);
            case "examineSubscriptionGroupConfig":
                return admin.examineSubscriptionGroupConfig(broker, args[0]);
            case "getAllSubscriptionGroup":
                return admin.getAllSubscriptionGroup(broker, 5000);
            case "getUserSubscriptionGroup":
                return admin.getUserSubscriptionGroup(broker, 5000);
            case "getAllTopicConfig":
                return admin.getAllTopicConfig(broker, 5000);
            case "getUserTopicConfig":
                return admin.getUserTopicConfig(broker, Boolean.parseBoolean(args[0]), 5000).getTopicConfigTable();
            case "updateConsumeOffset":
                admin.updateConsumeOffset(broker, args[0], queue(args[1], args[2]), Long.parseLong(args[3]));
                return "done";
            case "getConsumerRunningInfo":
                return admin.getConsumerRunningInfo(args[0], args[1], false).getProperties().keySet();
            case "getConsumeStatus":
                return admin.getConsumeStatus(args[0], args[1], args[2]);
            case "queryTopicConsumeByWho":
                return admin.queryTopicConsumeByWho(args[0]);
            case "queryTopicsByConsumer":
                return admin.queryTopicsByConsumer(args[0]);
            case "querySubscription":
                return admin.querySubscription(args[0], args[1]);
            case "queryConsumeTimeSpan":
                return admin.queryConsumeTimeSpan(args[0], args[1]);
            case "viewBrokerStatsData":
                return admin.viewBrokerStatsData(broker, args[0], args[1]);
            case "fetchConsumeStatsInBroker":
                return byQueue(admin.fetchConsumeStatsInBroker(broker, false, 5000));
            case "viewMessage":
                return admin.viewMessage(args[0], args[1]);
            case "queryMessage":
                return admin.queryMessage(args[0], args[1], 8, 0, Long.MAX_VALUE).getMessageList();
            case "messageTrackDetail": {
                MessageExt message = admin.viewMessage(args[0], args[1]);
                Map<String, MessageTrack> tracks = new TreeMap<>();
                for (MessageTrack track : admin.messageTrackDetail(message)) {
                    tracks.put(track.getConsumerGroup(), track);
                }
                return tracks;
            }
            case "consumeMessageDirectly":
                return admin.consumeMessageDirectly(args[0], args[1], args[2], args[3]);
            case "searchOffset":
                return admin.searchOffset(queue(args), Long.parseLong(args[2]));
            case "searchLowerBoundaryOffset":
                return admin.searchLowerBoundaryOffset(queue(args), Long.parseLong(args[2]));
            case "searchUpperBoundaryOffset":
                return admin.searchUpperBoundaryOffset(queue(args), Long.parseLong(args[2]));
            case "minOffset":
                return admin.minOffset(queue(args));
            case "maxOffset":
                return admin.maxOffset(queue(args));
            case "earliestMsgStoreTime":
                return admin.earliestMsgStoreTime(queue(args));
            case "resetOffsetByTimestamp":
                return admin.resetOffsetByTimestamp(args[0], args[1], Long.parseLong(args[2]), true);
            case "resetOffsetByTimestampOld":
                return admin.resetOffsetByTimestampOld(args[1], args[0], Long.parseLong(args[2]), true);
            case "resetOffsetNew":
                admin.resetOffsetNew(args[1], args[0], Long.parseLong(args[2]));
                return "done";
            case "cloneGroupOffset":
                admin.cloneGroupOffset(args[0], args[1], args[2], true);
                return "done";
            case "getKVConfig":
                return admin.getKVConfig(args[0], args[1]);
            case "getKVListByNamespace":
                return admin.getKVListByNamespace(args[0]);
            case "getNameServerConfig":
                return admin.getNameServerConfig(Collections.singletonList(names.get("namesrv"))).values();
            case "getNameServerAddressList":
                return admin.getNameServerAddressList();
            case "getClusterList":
                return admin.getClusterList(args[0]);
            case "getTopicClusterList":
                return admin.getTopicClusterList(args[0]);
            case "updateBrokerConfig": {
                Properties properties = new Properties();
                properties.put(args[0], args[1]);
                admin.updateBrokerConfig(broker, properties);
                return "done";
            }
            case "updateAndGetGroupReadForbidden":
                return admin.updateAndGetGroupReadForbidden(broker, args[0], args[1], Boolean.valueOf(args[2]));
            case "resumeCheckHalfMessage":
                return admin.resumeCheckHalfMessage(args[0], args[1]);
            case "queryMessageByUniqKey":
                return admin.queryMessageByUniqKey(null, args[0], args[1], 8, 0, Long.MAX_VALUE).getMessageList();
            case "listUser":
                return admin.listUser(broker, "");
            case "listAcl":
                return admin.listAcl(broker, "", "");
            default:
                throw new IllegalArgumentException("no such call: " + method);
        }
    }

    /** Groups are not in any order, nor are the topics of one. */
    private static Map<String, Object> byQueue(ConsumeStatsList stats) {
        Map<String, Object> queues = new TreeMap<>();
        queues.put("totalDiff", stats.getTotalDiff());
        queues.put("totalInflightDiff", stats.getTotalInflightDiff());
        for (Map<String, List<ConsumeStats>> groups : stats.getConsumeStatsList()) {
            groups.forEach((group, topics) -> {
                queues.put(group, topics.isEmpty() ? "nothing" : "something");
                for (ConsumeStats topic : topics) {
                    topic.getOffsetTable().forEach((queue, offsets) ->
                        queues.put(group + " " + queue.getTopic() + "/" + queue.getQueueId(), offsets));
                }
            });
        }
        return queues;
    }

    private static MessageQueue queue(String... args) {
        return new MessageQueue(args[0], "broker-a", Integer.parseInt(args[1]));
    }
}
