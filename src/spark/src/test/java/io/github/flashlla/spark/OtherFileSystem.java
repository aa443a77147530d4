package io.github.flashlla.spark;

import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.RawLocalFileSystem;

/** A file system of Hadoop's that is not the local one but for where it keeps its bytes; known by a setting of Spark's alone. */
public class OtherFileSystem extends RawLocalFileSystem {
    static final String SCHEME = "other";

    @Override
    public void initialize(URI uri, Configuration conf) throws IOException {
        super.initialize(uri, conf);
        setConf(conf);
    }

    @Override
    public URI getUri() {
        return URI.create(SCHEME + ":///");
    }

    @Override
    public String getScheme() {
        return SCHEME;
    }
}
