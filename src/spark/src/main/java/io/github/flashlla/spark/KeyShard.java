package io.github.flashlla.spark;

import io.github.flashlla.Tensor;
import java.io.IOException;
import java.io.Serializable;

/** Some keys and values of one key/value head, for one task of a decoding step. */
public interface KeyShard extends Serializable {

    /** Key/value head, counted over all batches: 0 to B*Hkv-1. */
    int head();

    /** (1,1,n,D), read where the task runs. */
    Tensor keys() throws IOException;

    /** (1,1,n,Dv) */
    Tensor values() throws IOException;
}
