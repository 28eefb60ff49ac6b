//! RocketMQ's keys that FerroMQ does not honour.
//!
//! Who brings a RocketMQ configuration file is told about each of them by name, in other words than about a key
//! that nobody knows: the first is a difference to weigh, the second most likely a typing error. A key leaves this
//! list by being declared in a room's table; a test sees to it that no key is in both.

/// Keys of the official broker, NameServer and controller that have no effect here: what they are about, and their
/// names.
const NOT_HONOURED: &[(&str, &str)] = &[
    (
        "Identity, network and limits of the broker",
        "
        ackMessageThreadPoolNums aclEnable adminBrokerThreadPoolNums
        asyncSendEnable authenticationEnabled authorizationEnabled broadcastOffsetExpireMaxSecond
        broadcastOffsetExpireSecond brokerConfigPath brokerFastFailureEnable brokerHeartbeatInterval
        brokerIP2 brokerNotActiveTimeoutMillis cgColdReadThreshold clearRetryTopicWhenDeleteTopic
        clientManageThreadPoolNums coldCtrStrategyEnable compressedRegister configBlackList
        configManagerVersion consumerFallbehindThreshold consumerManageThreadPoolNums
        consumerOffsetUpdateVersionStep
        delayOffsetUpdateVersionStep disableConsumeIfConsumerReadSlowly enableBroadcastOffsetStore
        enableCalcFilterBitMap enableCreateSysGroup enableMixedMessageType
        enableRegisterProducer enableSingleTopicRegister enableSplitMetadata enableSplitRegistration
        endTransactionThreadPoolNums fetchNamesrvAddrByAddressServer fetchNameSrvAddrByDnsLookup
        forceRegister globalColdReadThreshold heartbeatThreadPoolNums highSpeedMode
        litePullMessageThreadPoolNums loadBalanceThreadPoolNums lockInStrictMode maxTopicLength
        messageStorePlugIn metricsExporterType metricsOtelCardinalityLimit metricsPromExporterPort
        processReplyMessageThreadPoolNums pullMessageThreadPoolNums pullThreadPoolQueueCapacity
        putMessageFutureThreadPoolNums queryMessageThreadPoolNums realTimeNotifyConsumerChange
        recoverThreadPoolNums rejectPullConsumerEnable rocketmqHome
        sendMessageThreadPoolNums sendThreadPoolQueueCapacity slaveReadEnable
        splitMetadataSize splitRegistrationSize startAcceptSendRequestTimeStamp
        subscriptionExpiredTimeout transferMsgByHeap
        validateSystemTopicWhenUpdateTopic waitTimeMillsInAckQueue waitTimeMillsInAdminBrokerQueue
        waitTimeMillsInHeartbeatQueue waitTimeMillsInLitePullQueue waitTimeMillsInPullQueue
        waitTimeMillsInSendQueue waitTimeMillsInTransactionQueue
        ",
    ),
    (
        "Transactions, pop consumption, acting slaves, the controller",
        "
        appendAckAsync appendCkAsync brokerElectionPriority checkSyncStateSetPeriod controllerAddr
        controllerHeartBeatTimeoutMills enableControllerMode enablePopBatchAck enablePopBufferMerge
        enableRemoteEscape enableSkipLongAwaitingAck
        enableSlaveActingMaster fetchControllerAddrByDnsLookup forwardTimeout
        popCkMaxBufferSize popCkOffsetMaxQueueSize popCkStayBufferTime
        popCkStayBufferTimeOut popConsumerFSServiceInit popConsumerKVServiceEnable popConsumerKVServiceInit
        popLongPollingForceNotifyInterval
        popPollingMapExpireTimeSeconds popPollingMapSize
        popReviveMaxAttemptTimes popReviveMaxReturnSizePerRead
        reviveAckWaitMs reviveMaxSlow reviveScanTime
        sendHeartbeatTimeoutMillis skipPreOnline skipWhenCKRePutReachMaxTimes syncBrokerMetadataPeriod
        syncControllerMetadataPeriod transactionMetricFlushInterval
        ",
    ),
    (
        "The store",
        "
        accessMessageInMemoryHotRatio accessMessageInMemoryMaxRatio allAckInSyncStateSet asyncLearner
        autoMessageVersionOnTopicLen bitMapLengthConsumeQueueExt
        bottomMostCompressionTypeForConsumeQueueStore coldDataFlowControlEnable
        combineAssignOffsetCQType combineCQLoadingCQTypes combineCQPreferCQType commitCommitLogLeastPages
        commitCommitLogThoroughInterval commitIntervalCommitLog compactionCqMappedFileSize
        compactionMappedFileSize compactionScheduleInternal compactionThreadNum dataReadAheadEnable
        defaultQueryMaxNum deleteCommitLogFilesInterval deleteConsumeQueueFilesInterval deleteFileBatchMax
        destroyMapedFileIntervalForcibly disappearTimeAfterStart dispatchFromSenderThread dLegerGroup
        dLegerPeers dLegerSelfId duplicationEnable enableAutoInSyncReplicas
        enableBuildConsumeQueueConcurrently enableCompaction enableConsumeQueueExt enabledAppendPropCRC
        enableDLegerCommitLog enableScheduleAsyncDeliver
        enableScheduleMessageStats fastFailIfNoBufferInStorePool flushCommitLogLeastPages
        flushCommitLogTimed flushConsumeQueueLeastPages flushConsumeQueueThoroughInterval
        flushLeastPagesWhenWarmMapedFile forceVerifyPropCRC haFlowControlEnable haHousekeepingInterval
        haMasterAddress haMaxGapNotInSync haMaxTimeSlaveNotCatchup haSendHeartbeatInterval
        haTransferBatchSize inSyncReplicas logicalDiskSpaceCleanForciblyThreshold
        mappedFileSizeConsumeQueueExt mappedFileSwapEnable
        mapperFileSizeBatchConsumeQueue maxAsyncPutMessageRequests maxFilterMessageSize
        maxHaTransferByteInSecond maxMsgsNumBatch maxOffsetMapSize
        maxRecoveryCommitlogFiles maxTransferBytesOnMessageInDisk maxTransferCountOnMessageInDisk
        memTableFlushIntervalMs messageIndexSafe minInSyncReplicas offsetCheckInSlave
        osPageCacheBusyTimeOutMills preferredLeaderId putMessageTimeout readOnlyCommitLogStorePaths
        readUnCommitted realTimePersistRocksDBConfig redeleteHangedFileInterval replicasPerDiskPartition
        rocksdbCompressionType rocksdbCQDoubleWriteEnable rocksdbFlushWalFrequency
        rocksdbWalFileRollingThreshold slaveTimeout storePathBrokerIdentity storePathDLedgerCommitLog
        storePathEpochFile storeType syncFromLastFile syncMasterFlushOffsetWhenStartup timerCheckMetricsWhen
        timerEnableCheckMetrics timerEnableRetryUntilSuccess
        timerGetMessageThreadNum timerPutMessageThreadNum
        timerSkipUnknownError timerStopDequeue timerStopEnqueue
        topicQueueLockNum totalReplicas transientStorePoolEnable transientStorePoolSize
        useReentrantLockWhenPutMessage warmMapedFileEnable writeWithoutMmap
        ",
    ),
    (
        "The network library",
        "
        clientAsyncSemaphoreValue clientChannelMaxIdleTimeSeconds clientCloseSocketIfTimeout
        clientOnewaySemaphoreValue clientWorkerThreads connectTimeoutMillis enableShutdownGracefully
        serverAsyncSemaphoreValue serverCallbackExecutorThreads serverOnewaySemaphoreValue
        serverPooledByteBufAllocatorEnable serverSelectorThreads serverSocketRcvBufSize
        serverSocketSndBufSize useEpollNativeSelector useTLS writeBufferHighWaterMark
        writeBufferLowWaterMark
        ",
    ),
    (
        "The NameServer and the controller",
        "
        clientRequestThreadPoolNums configStorePath controllerDLegerGroup controllerDLegerPeers
        controllerDLegerSelfId controllerStorePath controllerThreadPoolNums controllerType
        defaultThreadPoolNums electMasterMaxRetryCount enableControllerInNamesrv enableElectUncleanMaster
        jRaftControllerRPCAddr jRaftElectionTimeoutMs jRaftGroupId jRaftInitConf jRaftScanWaitTimeoutMs
        jRaftServerId jRaftSnapshotIntervalSecs notifyBrokerRoleChanged
        notifyMinBrokerIdChanged scanInactiveMasterInterval
        unRegisterBrokerQueueCapacity
        ",
    ),
    (
        "Tiered storage",
        "
        commitLogRollingInterval commitLogRollingMinimumSize readAheadCacheEnable
        readAheadCacheExpireDuration readAheadCacheSizeThresholdRate readAheadMessageCountThreshold
        readAheadMessageSizeThreshold tieredBackendServiceProvider tieredStorageLevel
        tieredStoreCommitLogMaxSize tieredStoreConsumeQueueMaxSize tieredStoreCrcCheckEnable
        tieredStoreDeleteFileEnable tieredStoreDeleteFileInterval tieredStoreFilePath
        tieredStoreFileReservedTime tieredStoreGroupCommit tieredStoreGroupCommitCount
        tieredStoreGroupCommitSize tieredStoreGroupCommitTimeout tieredStoreIndexFileMaxHashSlotNum
        tieredStoreIndexFileMaxIndexNum tieredStoreMaxGroupCommitCount tieredStoreMaxPendingLimit
        ",
    ),
];

/// Each group: what its keys are about, and their names.
pub(crate) fn groups() -> impl Iterator<Item = (&'static str, impl Iterator<Item = &'static str>)> {
    NOT_HONOURED.iter().map(|(about, names)| (*about, names.split_whitespace()))
}

/// Whether RocketMQ knows `key` and we do nothing with it.
pub(crate) fn is_foreign(key: &str) -> bool {
    groups().any(|(_, mut names)| names.any(|name| name == key))
}
