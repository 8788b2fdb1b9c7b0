#!/usr/bin/env ruby
require 'find'; require 'digest'; require 'pathname'
$LOAD_PATH.unshift File.join(File.dirname(File.realpath(__FILE__)), 'lib')
require 'words'
top = ARGV[0]
puts "module #{$LOADED_FEATURES.grep(/words.rb/)}"
Find.find(top).sort.each do |name|
  s = File.lstat(name)
  puts "#{name} #{s.mode.to_s(8)} #{s.directory? ? 0 : s.size} #{s.mtime.to_i} #{s.ftype} " \
       "#{s.symlink? ? File.readlink(name) : '-'} #{File.readable?(name)} #{File.writable?(name)}"
end
files = Dir.glob("#{top}/text/**/*.txt").sort
puts "#{files.size} files, #{Words.count(files)}"
attempts = { read: -> { File.read("#{top}/missing") }, write: -> { File.write("#{top}/new", 'x') },
  append: -> { File.open(files[0], 'a') }, below: -> { File.read("#{files[0]}/x") }, mkdir: -> { Dir.mkdir("#{top}/new") },
  delete: -> { File.delete(files[0]) }, directory: -> { File.read(top) }, chmod: -> { File.chmod(0600, files[0]) } }
attempts.each do |name, try|
  try.call
  puts "#{name}: done"
rescue SystemCallError => e
  puts "#{name}: #{e.class}"
end
puts "child: #{`#{top}/say 'from ruby'`}status #{$?.exitstatus}"
puts "spawned: #{IO.popen(["#{top}/say", 'popen'], &:read)}"
puts "threads: #{files.map { |name| Thread.new { Words.count([name]) } }.map(&:value).inspect}"
pids = files.first(4).map { |name| IO.pipe.then { |r, w| fork { w.write Words.count([name]); exit! }; w.close; r } }
puts "children: #{pids.map(&:read).inspect}"; Process.waitall
Dir.chdir("#{top}/text/0") { puts Dir.pwd, Pathname.new('../1/..').realpath, Digest::MD5.file(Dir.children('.').min).hexdigest }
puts File.identical?("#{top}/text/link", files[0]), File.realpath("#{top}/text/link")
