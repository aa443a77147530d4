package io.github.flashlla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which command lines have the survey of devices begun before they are parsed. */
class StartupTest {

    @ParameterizedTest
    @CsvSource({"run --device cuda:0 --q q.npy, true", "run --device=opencl:1, true", "verify --device ptx, true", "run --device jvm, false",
        "run --q opencl.npy --device jvm, false", "run --device jvm+cuda:0, false", "--version, false"})
    void namesATornadoDevice(String line, boolean named) {
        assertEquals(named, Startup.namesDevice(line.split(" ")));
    }
}
