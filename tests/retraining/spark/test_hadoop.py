"""What HDFS and YARN complain of, in their own words, becomes one line with a remedy that fits."""

from __future__ import annotations

import pytest
from pyspark.errors import IllegalArgumentException, PySparkException

from retraining.errors import RetrainingError
from retraining.spark import faults, hadoop, yarn

DENIED = (
    ": org.apache.hadoop.security.AccessControlException: Permission denied: user=alice, "
    'access=WRITE, inode="{}":root:supergroup:drwxr-xr-x\n\tat org.apache.hadoop.hdfs.server.x\n'
)
CALL = (
    "java.net.ConnectException: Call From vm/127.0.0.1 to localhost:49429 failed on connection "
    "exception: java.net.ConnectException: Connection refused; For more details see:  http://x\n"
)
APPLICATION = "application_1795810650696_0006"


@pytest.mark.parametrize(
    ("said", "what", "remedy"),
    [
        (DENIED.format("/"), "HDFS denies user alice WRITE on / (root:supergroup:drwx", "-chmod"),
        (
            DENIED.format("/user") + "\tat org.apache.spark.deploy.yarn.Client.prepareLocal(x)\n",
            "user alice has no folder on HDFS where Spark can put what YARN needs",
            "hdfs dfs -mkdir -p /user/alice && hdfs dfs -chown alice /user/alice",
        ),
        (
            "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException: The NameSpace quota "
            "(directories and files) of directory /q is exceeded: quota=12 file count=13\n",
            "(The NameSpace quota (directories and files) of directory /q is exceeded: quota=12 ",
            "-setQuota",
        ),
        (
            "Caused by: org.apache.hadoop.hdfs.protocol.DSQuotaExceededException: The DiskSpace "
            "quota of /s is exceeded: quota = 1000000 B = 976.56 KB but diskspace consumed = ...",
            "(The DiskSpace quota of /s is exceeded: quota = 1000000 B = 976.56 KB but",
            "-setSpaceQuota",
        ),
        (
            "org.apache.hadoop.hdfs.server.namenode.SafeModeException: Cannot delete "
            "/q/fraud/RUN. Name node is in safe mode.\n",
            "HDFS takes no changes now (Cannot delete /q/fraud/RUN. Name node is in safe mode)",
            "safemode",
        ),
        (
            "[TASK_WRITE_FAILED] Task failed while writing rows to hdfs://a/y. SQLSTATE: 58030\n"
            "Caused by: org.apache.hadoop.ipc.RemoteException(java.io.IOException): File /y/a "
            "could only be written to 0 of the 1 minReplication nodes. There are 1 datanode(s)",
            "no DataNode to write to (could only be written to 0 of the 1 minReplication nodes)",
            "hdfs dfsadmin -report",
        ),
        (
            "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file hdfs://a/b.parquet.  "
            "SQLSTATE: KD001\nCaused by: org.apache.hadoop.hdfs.BlockMissingException: Could not "
            "obtain block: BP-1:blk_1 file=/b.parquet No live nodes contain current block",
            "HDFS has lost a block of /b.parquet, or all DataNodes that hold it are down",
            "hdfs fsck",
        ),
        (CALL, "the NameNode of HDFS does not answer at localhost:49429 (Connection refused)", ""),
        (
            CALL + "\tat org.apache.hadoop.yarn.api.impl.pb.client.X\n",
            "the ResourceManager of YARN does not answer at localhost:49429 (Connection refused)",
            "HADOOP_CONF_DIR",
        ),
        (
            "java.net.NoRouteToHostException: No Route to Host from  vm/127.0.0.1 to nn:8020 failed"
            " on socket timeout exception: java.net.NoRouteToHostException: No route to host; x",
            "does not answer at nn:8020 (No route to host)",
            "",
        ),
        (
            'java.io.EOFException: End of File Exception between local host is: "vm/127.0.0.1"; '
            'destination host is: "localhost":8020; : java.io.EOFException; For more details see:',
            "the NameNode of HDFS does not answer at localhost:8020 (",
            "",
        ),
        (
            "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.ipc.StandbyException): "
            "Operation category READ is not supported in state standby. Visit https://x\n",
            "no NameNode of HDFS is active (Operation category READ",
            "haadmin",
        ),
        (
            "java.lang.IllegalArgumentException: Required executor memory (8192 MB), offHeap "
            "memory (0) MB, overhead (819 MB), and PySpark memory (0 MB) is above the max "
            "threshold (3072 MB) of this cluster! Please check the values of\n",
            "(Required executor memory (8192 MB), offHeap memory (0) MB, overhead (819 MB), and",
            "lower spark.executor.memory",
        ),
        (
            "Required AM memory (8192+819 MB) is above the max threshold (72 MB) of this cluster!",
            "(Required AM memory (8192+819 MB) is above the max threshold (72 MB) of this",
            "lower spark.yarn.am.memory",
        ),
        (
            "Uncaught exception: org.apache.hadoop.yarn.exceptions.InvalidResourceRequestException:"
            " Invalid resource request! Cannot allocate containers as requested resource is "
            "greater than maximum allowed allocation. Requested resource type=[vcores], Requested "
            "resource=<memory:1152, vCores:9>, maximum allowed allocation=<memory:3072, vCores:2>,",
            "container of this size (Requested resource type=[vcores], Requested resource=<memory:",
            "spark.executor.cores",
        ),
        (
            f"org.apache.hadoop.yarn.exceptions.YarnException: Failed to submit {APPLICATION} to "
            f"YARN : Application {APPLICATION} submitted by user root to unknown queue: nosuch",
            "(submitted by user root to unknown queue: nosuch)",
            "spark.yarn.queue",
        ),
        (
            f"Application {APPLICATION} failed 2 times due to ApplicationMaster for attempt "
            "appattempt_1_0006_000002 timed out. Failing the application.",
            f"YARN gave {APPLICATION} up (failed 2 times due to ApplicationMaster for attempt ",
            "too busy",
        ),
        (
            f"Application {APPLICATION} failed 2 times due to AM Container for appattempt_1 exited "
            "with  exitCode: 127\nFailing this attempt.Diagnostics: [2026]Exception from",
            "due to AM Container for appattempt_1 exited with exitCode: 127)",
            f"yarn logs -applicationId {APPLICATION}",
        ),
        (
            f"Application {APPLICATION} was killed by user root at 127.0.0.1",
            f"YARN ended the application: {APPLICATION} was killed by user root at 127.0.0.1",
            "run the step again",
        ),
    ],
)
def test_complaints(said: str, what: str, remedy: str) -> None:
    fault = faults.fault(PySparkException(said))
    assert fault is not None
    assert what in fault.what
    assert remedy in fault.remedy
    assert "\n" not in str(fault)


def test_a_nameservice_that_nobody_knows() -> None:
    said = "java.net.UnknownHostException: nosuchcluster\n\tat org.apache.hadoop.{}.Client.<init>"
    error = IllegalArgumentException(said.format("hdfs"))
    fault = faults.of_path(error, "hdfs://nosuchcluster/raw")
    assert fault.what == "HDFS has no host and no nameservice nosuchcluster"
    assert "hdfs-site.xml" in fault.remedy
    assert "hdfs-site" not in str(faults.of_path(PySparkException(said.format("x")), "s3a://a/b"))


def test_other_words_are_not_hadoops() -> None:
    said = "AccessControlException: Permission denied: /local/file\n\tat org.apache.hadoop.yarn.x"
    assert hadoop.fault(said) is None


@pytest.mark.parametrize("elsewhere", ["HADOOP_CONF_DIR", "YARN_CONF_DIR", "PYSPARK_GATEWAY_PORT"])
def test_yarn_needs_the_configuration_of_hadoop(
    monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "PYSPARK_GATEWAY_PORT", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    yarn.require_configuration("local[*]")
    with pytest.raises(RetrainingError, match="neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set"):
        yarn.require_configuration("yarn")
    monkeypatch.setenv(elsewhere, "/etc/hadoop/conf")
    yarn.require_configuration("yarn")
