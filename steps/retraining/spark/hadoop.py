"""What HDFS and YARN complain of, in one line with a remedy that fits.

Hadoop's exceptions come through Spark as text: their class, one sentence, and lines of Java.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from retraining.errors import RetrainingError


class _Complaint(NamedTuple):
    """Words of Hadoop, and what to report, with what the groups of the words have matched."""

    words: str
    what: str
    remedy: str


_AGAIN: Final = "then run the step again"
_CALL: Final = (
    r"(?:Call From \S+ to (\S+) failed on [^:]+: [\w.]+: ([^;\n]+?)"
    r"|No Route to Host from +\S+ to (\S+) failed on [^:]+: [\w.]+: ([^;\n]+?))(?:;|\n|$)"
)
# The first that is found counts. Those of YARN come first: it uses HDFS, too.
_COMPLAINTS: Final = (
    _Complaint(
        r'Permission denied: user=([^,\s]+), access=\w+, inode="[^"]*".*?\n(?s:.*?)'
        r"spark\.deploy\.yarn\.Client\.",
        r"user \1 has no folder on HDFS where Spark can put what YARN needs",
        r"as user hdfs run: hdfs dfs -mkdir -p /user/\1 && hdfs dfs -chown \1 /user/\1; or set "
        r"spark.yarn.stagingDir to a folder that \1 may write",
    ),
    _Complaint(
        r"(Required AM memory \(.+? of this cluster)",
        r"YARN has no node for an ApplicationMaster of this size (\1)",
        "lower spark.yarn.am.memory, or raise what its nodes offer",
    ),
    _Complaint(
        r"(Required executor memory \(.+? of this cluster)",
        r"YARN has no node for an executor of this size (\1)",
        "lower spark.executor.memory or spark.executor.memoryOverhead, or raise what its nodes "
        "offer",
    ),
    _Complaint(
        r"(Requested resource type=\[\w+\], Requested resource=<.+?>, maximum allowed "
        r"allocation=<.+?>)",
        r"YARN has no node for a container of this size (\1)",
        "lower spark.executor.cores or spark.executor.memory, or raise what its nodes offer",
    ),
    _Complaint(
        r"Failed to submit application_\w+ to YARN ?: .*?(submitted by user \S+ to .*queue.*)",
        r"YARN does not accept the application (\1)",
        "set spark.yarn.queue to a queue that this user may submit to",
    ),
    _Complaint(
        r"(?:Application (application_\w+) (failed \d+ times due to .+ timed out))",
        r"YARN gave \1 up (\2)",
        "the cluster is too busy to start it, or its nodes do not reach this machine "
        "(spark.driver.host): see to that, " + _AGAIN,
    ),
    _Complaint(
        r"(?:Application (application_\w+) (failed \d+ times? due to .+))",
        r"YARN gave \1 up (\2)",
        r"yarn logs -applicationId \1 says why; its nodes need Java 17 (JAVA_HOME) and have to "
        r"reach this machine",
    ),
    _Complaint(
        r"Application (application_\w+) (was killed by .+)",
        r"YARN ended the application: \1 \2",
        "run the step again if that was not meant",
    ),
    _Complaint(
        r'Permission denied: user=([^,\s]+), access=(\w+), inode="([^"]*)":(\S+)',
        r"HDFS denies user \1 \2 on \3 (\4)",
        "let its owner grant that (hdfs dfs -chmod, -chown or -setfacl), or name another folder",
    ),
    _Complaint(
        r"NSQuotaExceededException\)?: (The NameSpace quota .+)",
        r"a quota of HDFS is used up (\1)",
        "remove files there, or raise it (hdfs dfsadmin -setQuota)",
    ),
    _Complaint(
        r"DSQuotaExceededException\)?: (The DiskSpace quota .+)",
        r"a quota of HDFS is used up (\1)",
        "remove files there, or raise it (hdfs dfsadmin -setSpaceQuota)",
    ),
    _Complaint(
        r"SafeModeException\)?: (.+? in safe mode)",
        r"HDFS takes no changes now (\1)",
        "wait until hdfs dfsadmin -safemode get says OFF, or ask who runs the cluster, " + _AGAIN,
    ),
    _Complaint(
        r"(could only be (?:written|replicated) to .+? nodes|All datanodes .+ are bad"
        r"|Unable to create new block)",
        r"HDFS has no DataNode to write to (\1)",
        "see that DataNodes are up and have room (hdfs dfsadmin -report), " + _AGAIN,
    ),
    _Complaint(
        r"BlockMissingException\)?: (?:Could not obtain block: \S+ file=)(\S+)",
        r"HDFS has lost a block of \1, or all DataNodes that hold it are down",
        "see that they are up (hdfs dfsadmin -report, hdfs fsck), " + _AGAIN,
    ),
    _Complaint(
        r"UnknownHostException: ([\w.-]+)\n(?s:.*?)org\.apache\.hadoop\.hdfs\.",
        r"HDFS has no host and no nameservice \1",
        "check the path, and that HADOOP_CONF_DIR has the hdfs-site.xml that defines it",
    ),
    _Complaint(
        r"StandbyException\)?: (.+? standby)",
        r"no NameNode of HDFS is active (\1)",
        "see that one is (hdfs haadmin -getAllServiceState), " + _AGAIN,
    ),
)
# A call that was not answered: to whom, and why.
_CALLS: Final = (
    r"Call From \S+ to (?P<whom>\S+) failed on [^:]+: (?P<why>[^;\n]+)",
    r"No Route to Host from +\S+ to (?P<whom>\S+) failed on [^:]+: (?P<why>[^;\n]+)",
    r'destination host is: "?(?P<whom>[^"; ]+"?:\d+); *:? *(?P<why>[^;\n]*)',
    r"DestHost:destPort (?P<whom>\S+) .*?Failed on local exception: (?P<why>[^;\n]+)",
)


def fault(said: str) -> RetrainingError | None:
    """The error to report for what HDFS or YARN is to blame for; None for anything else.

    Args:
        said: All that an exception of Spark says, with Java's trace.
    """
    for complaint in _COMPLAINTS:
        if found := re.search(complaint.words, said):
            what, remedy = found.expand(complaint.what), found.expand(complaint.remedy)
            return RetrainingError(" ".join(what.split()), remedy)
    for words in _CALLS:
        if found := re.search(words, said):
            of_yarn = "org.apache.hadoop.yarn" in said
            service = "the ResourceManager of YARN" if of_yarn else "the NameNode of HDFS"
            where = found["whom"].replace('"', "")
            why = found["why"].rpartition("Exception: ")[2].strip()
            return RetrainingError(
                f"{service} does not answer at {where} ({why or 'it broke off'})",
                f"see that it is up, and that HADOOP_CONF_DIR names it, {_AGAIN}",
            )
    return None
