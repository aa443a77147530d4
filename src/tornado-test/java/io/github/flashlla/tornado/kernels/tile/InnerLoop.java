package io.github.flashlla.tornado.kernels.tile;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The straight-line part of a kernel that has the most products of matrices: its loop over keys that all rows see.
 *
 * @param instructions in order, PTX or SASS
 */
record InnerLoop(List<String> instructions) {
    private static final Pattern PTX_KERNEL = Pattern.compile("\\.entry (\\w+)\\(.*?\\n\\}", Pattern.DOTALL);
    private static final Pattern SASS_KERNEL = Pattern.compile("(?m)(?:Function : |^\\.text\\.)(\\w+)(.*?)(?=Function : |^\\.text\\.|\\z)", Pattern.DOTALL);
    private static final Pattern SASS_LABEL = Pattern.compile("(?m)^\\s*\\.L_\\w+:");
    private static final Pattern SASS_LINE = Pattern.compile("/\\*([0-9a-f]{4,})\\*/\\s+([^;]+);");
    private static final Pattern SASS_BRANCH = Pattern.compile("\\b(?:BRA|BSSY|BRX|JMP)\\b.*?0x([0-9a-f]+)");

    /** Of each kernel of a PTX file. */
    static Map<String, InnerLoop> ofPtx(String ptx) {
        Map<String, InnerLoop> loops = new HashMap<>();
        PTX_KERNEL.matcher(ptx).results().forEach(kernel -> {
            Blocks blocks = new Blocks();
            for (String line : kernel.group().lines().map(String::strip).toList()) {
                if (line.matches("\\$L\\w*:.*")) {
                    blocks.end();
                } else if (line.endsWith(";") && !line.startsWith(".") && !line.startsWith("//")) {
                    blocks.add(line);
                    if (line.matches(".*\\b(bra|ret)\\b.*")) {
                        blocks.end();
                    }
                }
            }
            loops.put(kernel.group(1), blocks.best("mma.sync"));
        });
        return loops;
    }

    /** Of each kernel of what {@code cuobjdump -sass} prints, or {@code nvdisasm -c}, which has labels in place of addresses. */
    static Map<String, InnerLoop> ofSass(String sass) {
        Map<String, InnerLoop> loops = new HashMap<>();
        machineCode(sass).forEach((String kernel, String code) -> {
            Set<Long> targets = new HashSet<>();
            SASS_BRANCH.matcher(code).results().forEach(branch -> targets.add(Long.parseLong(branch.group(1), 16)));
            Blocks blocks = new Blocks();
            Matcher line = SASS_LINE.matcher(code);
            int before = 0;
            while (line.find()) {
                if (targets.contains(Long.parseLong(line.group(1), 16)) || SASS_LABEL.matcher(code).region(before, line.start()).find()) {
                    blocks.end();
                }
                before = line.end();
                blocks.add(line.group(2).strip());
                if (line.group(2).matches("(@!?U?P\\w+ )?(BRA|EXIT|BRX|JMP|RET)\\b.*")) {
                    blocks.end();
                }
            }
            loops.put(kernel, blocks.best("HMMA"));
        });
        return loops;
    }

    /** Each kernel's part of the same. */
    static Map<String, String> machineCode(String sass) {
        return SASS_KERNEL.matcher(sass).results().collect(Collectors.toMap(kernel -> kernel.group(1), kernel -> kernel.group(2)));
    }

    /** How many have {@code word}. */
    long count(String word) {
        return instructions.stream().filter(instruction -> instruction.contains(word)).count();
    }

    private static final class Blocks {
        private final List<List<String>> all = new ArrayList<>(List.of(new ArrayList<>()));

        void add(String instruction) {
            all.getLast().add(instruction);
        }

        void end() {
            all.add(new ArrayList<>());
        }

        InnerLoop best(String product) {
            InnerLoop best = new InnerLoop(List.of());
            for (List<String> block : all) {
                InnerLoop loop = new InnerLoop(List.copyOf(block));
                best = loop.count(product) > best.count(product) ? loop : best;
            }
            return best;
        }
    }
}
