package io.github.flashlla.combined;

import io.github.flashlla.DeviceException;
import io.github.flashlla.InvalidInputException;
import io.github.flashlla.text.Numbers;
import java.io.Serializable;

/**
 * What a part could not do.
 *
 * @param message what its device said
 */
record Failure(Kind kind, String message) implements Serializable {
    enum Kind {
        INVALID, UNSUPPORTED, DEVICE
    }

    static Failure of(Throwable e) {
        return switch (e) {
            case InvalidInputException known -> new Failure(Kind.INVALID, known.getMessage());
            case UnsupportedOperationException known -> new Failure(Kind.UNSUPPORTED, known.getMessage());
            case DeviceException known -> new Failure(Kind.DEVICE, known.getMessage());
            case OutOfMemoryError memory -> new Failure(Kind.DEVICE, "not enough memory (" + memory.getMessage() + ") in a process with "
                    + Numbers.bytes(Runtime.getRuntime().maxMemory()) + " of heap; FLASHLLA_JAVA_OPTS=-Xmx<size> gives it more");
            default -> new Failure(Kind.DEVICE, e.toString());
        };
    }

    RuntimeException exception(String part) {
        return switch (kind) {
            case INVALID -> new InvalidInputException(message);
            case UNSUPPORTED -> new UnsupportedOperationException(message);
            case DEVICE -> new DeviceException(message.startsWith(part) ? message : part + ": " + message);
        };
    }
}
