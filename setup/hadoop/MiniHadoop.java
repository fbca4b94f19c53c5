// SPDX-License-Identifier: Apache-2.0
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.MiniYARNCluster;

/**
 * HDFS and YARN in one process, for the tests: {@code MiniHadoop FOLDER DATA_NODES NODE_MANAGERS}.
 *
 * <p>Writes FOLDER/conf/core-site.xml and yarn-site.xml once all nodes are up: a client needs no more than that folder
 * as HADOOP_CONF_DIR. Ends when its standard input does, so that it never outlives a test.
 */
public final class MiniHadoop {
  private MiniHadoop() {}

  public static void main(String[] words) {
    int code = 1;
    try {
      run(words);
      code = 0;
    } catch (Throwable error) {
      error.printStackTrace();
    }
    // Threads of the nodes would keep it alive.
    System.exit(code);
  }

  private static void run(String[] words) throws Exception {
    final Path folder = Path.of(words[0]);
    final int dataNodes = Integer.parseInt(words[1]);
    final int nodeManagers = Integer.parseInt(words[2]);
    Files.createDirectories(folder.resolve("conf"));

    final Configuration conf = new HdfsConfiguration();
    conf.set("dfs.replication", String.valueOf(Math.min(dataNodes, 2)));
    // Blocks smaller than a result file: reading one crosses data nodes.
    conf.set("dfs.blocksize", "1048576");
    conf.set("dfs.namenode.fs-limits.min-block-size", "65536");
    final MiniDFSCluster dfs =
        new MiniDFSCluster.Builder(conf, folder.resolve("dfs").toFile()).numDataNodes(dataNodes).build();
    dfs.waitActive();
    // As on a real cluster: users write below /user and /tmp, not into the root.
    final FileSystem files = dfs.getFileSystem();
    final org.apache.hadoop.fs.Path temporary = new org.apache.hadoop.fs.Path("/tmp");
    files.mkdirs(temporary);
    files.setPermission(temporary, new FsPermission((short) 01777));

    final YarnConfiguration yarnConf = new YarnConfiguration(conf);
    yarnConf.set("fs.defaultFS", dfs.getURI().toString());
    yarnConf.setInt("yarn.scheduler.minimum-allocation-mb", 256);
    yarnConf.setBoolean("yarn.nodemanager.pmem-check-enabled", false);
    yarnConf.setBoolean("yarn.nodemanager.vmem-check-enabled", false);
    // A disk of a test machine may be nearly full, which says nothing about this test.
    yarnConf.set("yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", "100");
    yarnConf.set("yarn.scheduler.capacity.root.queues", "default");
    yarnConf.set("yarn.scheduler.capacity.root.default.capacity", "100");
    // Application masters wait behind this share, which by default is too small for a small cluster.
    yarnConf.set("yarn.scheduler.capacity.maximum-am-resource-percent", "0.5");
    final MiniYARNCluster yarn = new MiniYARNCluster("pomona", nodeManagers, 1, 1);
    if (nodeManagers > 0) {
      yarnConf.setInt("yarn.nodemanager.resource.memory-mb", 3072);
      yarnConf.setInt("yarn.nodemanager.resource.cpu-vcores", 4);
      yarn.init(yarnConf);
      yarn.start();
      if (!yarn.waitForNodeManagersToConnect(60_000)) throw new IllegalStateException("node managers did not connect");
      write(yarn.getConfig(), folder.resolve("conf/yarn-site.xml"));
    }
    write(yarnConf, folder.resolve("conf/core-site.xml"));
    while (System.in.read() >= 0) {
      // Whatever comes in is not for us; the end is.
    }
  }

  /** The file appears whole or not at all: tests wait for it. */
  private static void write(Configuration from, Path file) throws Exception {
    final Configuration conf = new Configuration(from);
    // A class of Hadoop's own tests, which clients lack.
    conf.unset("net.topology.node.switch.mapping.impl");
    final Path unfinished = file.resolveSibling(file.getFileName() + ".unfinished");
    try (OutputStream out = new FileOutputStream(unfinished.toFile())) {
      conf.writeXml(out);
    }
    Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
  }
}
