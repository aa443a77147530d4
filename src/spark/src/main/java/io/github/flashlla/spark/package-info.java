/** One problem over many hosts: Apache Spark gives out the shards, does lost ones again, and merges what decoding leaves. */
package io.github.flashlla.spark;
